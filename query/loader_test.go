package main

import (
	"context"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// The rows of fill. Raffle bidRaffle has manyBids bids of size 270, half of them at one price and in groups of 300
// with one created_at. It also has three bids of size 260, and the only bid of size 250.
const (
	bidRaffle   = 1
	quietRaffle = 2 // open, without bids
	manyBids    = 3000
	raffles     = 900
)

func (s *stack) fill(t testing.TB) {
	t.Helper()
	for _, sql := range []string{
		`INSERT INTO users (login, password_hash) SELECT 'user' || n, 'x' FROM generate_series(1, 50) n`,
		`INSERT INTO products (name, model, color, category, image_url, release_price, release_date)
		SELECT E'Größe "' || n || E'" <b>\\ \t\u0001 \U0001F45F', 'M' || n, '', 'shoe', 'https://example.com/?a=1&b=' || n, 100000 + n, date '2024-02-28' + n
		FROM generate_series(1, 40) n`,
		// A third each of open, closed (some without a price) and not started; ten share one end.
		`INSERT INTO raffles (product_id, seller_id, starts_at, ends_at, closed_at, closing_price)
		SELECT 1 + n % 40, 1 + n % 50, now() + CASE n % 3 WHEN 2 THEN interval '1 day' ELSE interval '-1 day' END,
			date_trunc('second', now()) + interval '2 days' + n / 10 * interval '1 hour 1 microsecond',
			CASE n % 3 WHEN 0 THEN now() - n * interval '1 second' END,
			CASE WHEN n % 3 = 0 AND n % 2 = 0 THEN 1000 + n END
		FROM generate_series(1, ` + strconv.Itoa(raffles) + `) n`,
		`INSERT INTO bids (raffle_id, id, user_id, size, price, quantity, created_at)
		SELECT 1, n, 1 + n % 50, 270, CASE WHEN n % 2 = 0 THEN 150000 ELSE 100000 + n * 7919 % 90000 END, 1 + n % 3,
			date_trunc('second', now()) - interval '1 hour' + n / 300 * interval '100 milliseconds 1 microsecond'
		FROM generate_series(1, ` + strconv.Itoa(manyBids) + `) n`,
		`INSERT INTO bids (raffle_id, id, user_id, size, price, created_at) VALUES
		(1, 10001, 1, 260, 2147483647, now()), (1, 10002, 2, 260, 1, now()), (1, 10003, 3, 260, 1, now()), (1, 10004, 3, 250, 5, now())`,
		`SELECT setval('bid_ids', 20000)`,
	} {
		if _, err := s.sql.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// load builds an epoch from the database's rows and switches to it.
func (s *stack) load(t testing.TB, epoch readmodel.Epoch, token string) {
	t.Helper()
	lsn := s.lsn(t)
	pipe := s.rdb.Pipeline()
	for _, p := range collect(t, s, `SELECT id, name, model, color, category, image_url, release_date::text, release_price FROM products`,
		pgx.RowToStructByPos[readmodel.Product]) {
		pipe.HSet(t.Context(), epoch.Products(), strconv.FormatInt(p.ID, 10), p.AppendEntry(nil))
	}
	for _, r := range collect(t, s, `SELECT id, product_id, seller_id, `+micros("starts_at")+`, `+micros("ends_at")+`,
		coalesce(`+micros("closed_at")+`, 0), coalesce(closing_price, 0) FROM raffles`, pgx.RowToStructByPos[readmodel.Raffle]) {
		member := r.AppendMember(nil)
		pipe.Set(t.Context(), epoch.Raffle(r.ID), member, 0)
		pipe.SAdd(t.Context(), epoch.Sizes(r.ID), readmodel.RaffleKnown)
		pipe.ZAdd(t.Context(), epoch.Raffles(), redis.Z{Score: r.EndScore(), Member: member})
	}
	for _, b := range s.bids(t, "true") {
		addBid(t, pipe, epoch, b)
	}
	pipe.Set(t.Context(), epoch.RafflesVersion(), lsn.String(), 0)
	pipe.ZAdd(t.Context(), epoch.Raffles(), z(readmodel.Sentinel, math.Inf(1)))
	pipe.HSet(t.Context(), epoch.Products(), readmodel.Sentinel, "")
	pipe.SAdd(t.Context(), epoch.AllSizes(), readmodel.RaffleKnown)
	s.checkpoint = readmodel.Checkpoint{SystemID: s.systemID(t), Timeline: 1, Slot: "pyramid_1", LSN: lsn, Epoch: epoch, Token: token, Server: s.started(t)}
	s.commit(t, pipe)
}

// commit sends a pipeline with a fresh checkpoint at its end.
func (s *stack) commit(t testing.TB, pipe redis.Pipeliner) {
	t.Helper()
	s.checkpoint.Beat = collect(t, s, `SELECT number, nonce, `+micros("at")+` FROM heartbeats ORDER BY number DESC LIMIT 1`,
		pgx.RowToStructByPos[heartbeat.Beat])[0]
	pipe.Set(t.Context(), readmodel.CheckpointKey, s.checkpoint.String(), 0)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// setCheckpoint changes the checkpoint alone.
func (s *stack) setCheckpoint(t testing.TB, change func(*readmodel.Checkpoint)) {
	t.Helper()
	change(&s.checkpoint)
	s.commit(t, s.rdb.Pipeline())
}

func addBid(t testing.TB, pipe redis.Pipeliner, e readmodel.Epoch, b readmodel.Bid) {
	t.Helper()
	member := b.AppendMember(nil)
	pipe.ZAdd(t.Context(), e.Newest(b.RaffleID, b.Size), redis.Z{Score: b.NewestScore(), Member: member})
	pipe.ZAdd(t.Context(), e.Highest(b.RaffleID, b.Size), redis.Z{Score: b.HighestScore(), Member: member})
	pipe.SAdd(t.Context(), e.Sizes(b.RaffleID), strconv.Itoa(int(b.Size)))
	pipe.ZAdd(t.Context(), e.SizeNewest(b.Size), redis.Z{Score: b.NewestScore(), Member: b.AppendSizeMember(nil)})
	pipe.ZAdd(t.Context(), e.Newest(b.RaffleID, b.Size), z(readmodel.Sentinel, math.Inf(1)))
	pipe.ZAdd(t.Context(), e.Highest(b.RaffleID, b.Size), z(readmodel.Sentinel, math.Inf(-1)))
	pipe.ZAdd(t.Context(), e.SizeNewest(b.Size), z(readmodel.Sentinel, math.Inf(1)))
	pipe.SetNX(t.Context(), e.SizeFloor(b.Size), "0", 0)
	pipe.SAdd(t.Context(), e.AllSizes(), strconv.Itoa(int(b.Size)))
}

// place makes a bid on the primary, waits for the standby and brings it to Redis.
func (s *stack) place(t testing.TB, size int16, price int32) {
	t.Helper()
	ids := collect(t, s, `INSERT INTO bids (raffle_id, user_id, size, price, created_at)
		VALUES (1, 1, `+strconv.Itoa(int(size))+`, `+strconv.Itoa(int(price))+`, clock_timestamp()) RETURNING id`, pgx.RowTo[int64])
	pipe := s.rdb.Pipeline()
	for _, b := range s.bids(t, "id = "+strconv.FormatInt(ids[0], 10)) {
		addBid(t, pipe, s.checkpoint.Epoch, b)
	}
	s.advance(t, pipe)
}

// cancel takes a bid away everywhere.
func (s *stack) cancel(t testing.TB, id int64) {
	t.Helper()
	where := "id = " + strconv.FormatInt(id, 10)
	pipe := s.rdb.Pipeline()
	for _, b := range s.bids(t, where) {
		member := b.AppendMember(nil)
		pipe.ZRem(t.Context(), s.checkpoint.Epoch.Newest(b.RaffleID, b.Size), member)
		pipe.ZRem(t.Context(), s.checkpoint.Epoch.Highest(b.RaffleID, b.Size), member)
		pipe.ZRem(t.Context(), s.checkpoint.Epoch.SizeNewest(b.Size), b.AppendSizeMember(nil))
	}
	if _, err := s.sql.Exec(t.Context(), "DELETE FROM bids WHERE "+where); err != nil {
		t.Fatal(err)
	}
	s.advance(t, pipe)
}

func (s *stack) advance(t testing.TB, pipe redis.Pipeliner) {
	t.Helper()
	s.checkpoint.LSN = s.lsn(t)
	s.standby.WaitReplay(t)
	s.commit(t, pipe)
}

func (s *stack) bids(t testing.TB, where string) []readmodel.Bid {
	t.Helper()
	return collect(t, s, `SELECT raffle_id, id, user_id, `+micros("created_at")+`, price, quantity, size FROM bids WHERE `+where,
		pgx.RowToStructByPos[readmodel.Bid])
}

func (s *stack) lsn(t testing.TB) lsn.LSN {
	t.Helper()
	lsn, err := lsn.Parse(collect(t, s, `SELECT pg_current_wal_flush_lsn()::text`, pgx.RowTo[string])[0])
	if err != nil {
		t.Fatal(err)
	}
	return lsn
}

// started is when the primary's server was started.
func (s *stack) started(t testing.TB) int64 {
	t.Helper()
	return collect(t, s, "SELECT "+micros("pg_postmaster_start_time()"), pgx.RowTo[int64])[0]
}

func (s *stack) systemID(t testing.TB) uint64 {
	t.Helper()
	return uint64(collect(t, s, `SELECT system_identifier FROM pg_control_system()`, pgx.RowTo[int64])[0])
}

func micros(column string) string { return `(extract(epoch FROM ` + column + `) * 1000000)::bigint` }

func collect[T any](t testing.TB, s *stack, sql string, scan pgx.RowToFunc[T]) []T {
	t.Helper()
	rows, err := s.sql.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return list
}

func scanID(row pgx.CollectableRow) (id int64, err error) {
	err = row.Scan(&id)
	return id, err
}

func z(member string, score float64) redis.Z { return redis.Z{Member: member, Score: score} }

// sqlBid makes a bid that Redis does not get.
func (s *stack) sqlBid(t testing.TB) {
	t.Helper()
	collect(t, s, `INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (1, 1, 270, 7, clock_timestamp()) RETURNING id`, scanID)
}

// pauseReplay stops the standby, which still answers.
func (s *stack) pauseReplay(t testing.TB) { s.standby.Exec(t, "SELECT pg_wal_replay_pause()") }

func (s *stack) resumeReplay(t testing.TB) {
	s.standby.Exec(t, "SELECT pg_wal_replay_resume()")
	s.standby.WaitReplay(t)
}

// maxClients makes Redis refuse more than n clients, and cuts off all connected clients.
func (s *stack) maxClients(t testing.TB, n string) {
	t.Helper()
	if err := s.rdb.ConfigSet(context.Background(), "maxclients", n).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.rdb.Do(context.Background(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
}

// checkpointReads is how many GETs Redis has served. The lookups of these tests use GET only for the checkpoint.
func (s *stack) checkpointReads(t testing.TB) (calls int) {
	t.Helper()
	stats, err := s.rdb.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(stats, "cmdstat_get:calls=")
	digits, _, _ := strings.Cut(rest, ",")
	if calls, err = strconv.Atoi(digits); err != nil {
		t.Fatal(err)
	}
	return calls
}

// beat writes a heartbeat on the test's primary.
func (s *stack) beat(t testing.TB) {
	t.Helper()
	if _, err := s.sql.Exec(t.Context(), "SELECT heartbeat()"); err != nil {
		t.Fatal(err)
	}
}

// heartbeat writes a heartbeat and waits until the standby has it.
func (s *stack) heartbeat(t testing.TB) {
	t.Helper()
	s.beat(t)
	s.standby.WaitReplay(t)
}
