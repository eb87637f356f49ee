package main

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// The order of changes and faults is that of the seed; the values are not.
func TestP2P3P4HistoryWithFaultsEndsEqual(t *testing.T) {
	const seed = 20261124
	random := rand.New(rand.NewPCG(seed, 1))
	pg := testenv.StartPostgres(t)
	s := newSystem(t, pg)
	s.replicate()
	changes, faults := s.changes(random), s.faults(pg)
	for round, f := range faults {
		for range 8 {
			changes[random.IntN(len(changes))]()
		}
		f.do()
		for range 4 {
			changes[random.IntN(len(changes))]()
		}
		t.Run(fmt.Sprintf("%d %s", round, f.name), func(t *testing.T) {
			was := s.t
			s.t = t
			defer func() { s.t = was }()
			s.equal()
		})
	}
}

// changes are transactions of every kind.
func (s *system) changes(random *rand.Rand) []func() {
	return []func(){
		func() { s.bids(1 + random.IntN(50)) },
		func() { s.bids(1 + random.IntN(50)) },
		func() { s.bids(6000) },
		func() { s.exec("DELETE FROM bids WHERE id % 7 = $1", random.IntN(7)) },
		func() { s.exec("UPDATE bids SET price = price + 500, size = 300 WHERE id % 11 = $1", random.IntN(11)) },
		func() { s.exec("DELETE FROM bids WHERE raffle_id = $1 AND size = 270", 1+random.IntN(10)) },
		func() {
			s.exec("UPDATE raffles SET closed_at = clock_timestamp(), closing_price = 1000 WHERE id = $1", 1+random.IntN(10))
		},
		func() {
			s.exec("UPDATE products SET name = name || '!', release_date = release_date + 1 WHERE id = $1", 1+random.IntN(5))
		},
		func() {
			s.exec("INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at) VALUES (99, 1, 1, now(), '2040-01-01')")
			s.exec("INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (99, 1, 260, 5, now())")
			s.exec("DELETE FROM bids WHERE raffle_id = 99")
			s.exec("DELETE FROM raffles WHERE id = 99")
		},
		func() {
			s.exec("BEGIN; UPDATE bids SET quantity = 2 WHERE id % 3 = 0; SAVEPOINT a; DELETE FROM bids WHERE id % 3 = 0; ROLLBACK TO a; COMMIT")
		},
	}
}

// fault is something that the system must survive.
type fault struct {
	name string
	do   func()
}

func (s *system) faults(pg *testenv.Postgres) []fault {
	t := s.t
	return []fault{
		{"kill the replicator", func() { s.Kill(t); s.Start(t) }},
		{"kill redis", func() { s.server.Kill(t); s.server.Start(t) }},
		{"flush redis", func() { s.must(s.redis.FlushAll(s.ctx).Err()) }},
		{"kill the primary", func() { pg.Kill(t); pg.Start(t); s.connect() }},
		{"terminate walsenders", func() {
			s.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender'")
		}},
		{"stop the replicator", func() { s.Stop(t); s.bids(10); s.Start(t) }},
		{"drop the slot", func() {
			s.Signal(t, syscall.SIGTERM)
			s.Wait(t)
			s.exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
			s.Start(t)
		}},
	}
}
