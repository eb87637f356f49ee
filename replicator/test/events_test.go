package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// event is a change, a rest or a fault in a history.
type event struct {
	name string
	do   func(*history)
}

const insertFew = `INSERT INTO bids (raffle_id, user_id, size, price, created_at)
	SELECT 1 + (random() * 3)::int, 1 + (random() * 49)::int, 260 + 5 * (random() * 2)::int, 1 + (random() * 5)::int * 1000, clock_timestamp()
	FROM generate_series(1, $1::int)`

func (h *history) raffle() int64 { return 1 + h.random.Int64N(raffles) }
func (h *history) size() int16   { return sizes[h.random.IntN(len(sizes))] }

// changes are transactions of every kind.
var changes = []event{
	{"insert one", func(h *history) { h.exec(insertFew, 1) }},
	{"insert some", func(h *history) { h.exec(insertFew, 1+h.random.IntN(40)) }},
	{"insert many, one by one", func(h *history) {
		for range 30 {
			h.exec(insertFew, 1)
		}
	}},
	{"insert more than a flush", func(h *history) { h.exec(insertFew, 2001+h.random.IntN(500)) }},
	{"delete some", func(h *history) { h.exec("DELETE FROM bids WHERE id % 3 = $1 AND raffle_id <= 4", h.random.IntN(3)) }},
	{"delete a size", func(h *history) { h.exec("DELETE FROM bids WHERE raffle_id = $1 AND size = $2", h.raffle(), h.size()) }},
	{"delete all", func(h *history) { h.exec("DELETE FROM bids WHERE raffle_id <= 4") }},
	{"update", func(h *history) {
		h.exec("UPDATE bids SET price = price + 500, size = $2 WHERE id % 3 = $1 AND raffle_id <= 4", h.random.IntN(3), h.size())
	}},
	{"cancel and bid again in one transaction", func(h *history) {
		h.exec("BEGIN; DELETE FROM bids WHERE id % 2 = 0 AND raffle_id <= 4; INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (1, 1, 260, 7, clock_timestamp()); DELETE FROM bids WHERE price = 7 AND raffle_id <= 4; COMMIT")
	}},
	{"roll back", func(h *history) {
		h.exec("BEGIN; UPDATE bids SET quantity = 2 WHERE id % 3 = 0 AND raffle_id <= 4; SAVEPOINT a; DELETE FROM bids; ROLLBACK TO a; COMMIT")
		h.exec("BEGIN; DELETE FROM bids; ROLLBACK")
	}},
	{"close", func(h *history) {
		h.exec("UPDATE raffles SET closed_at = clock_timestamp(), closing_price = 1000 WHERE id = $1", h.raffle())
	}},
	{"move a raffle's times", func(h *history) {
		h.exec("UPDATE raffles SET ends_at = ends_at + $2 * interval '1 minute', starts_at = starts_at - interval '1 s' WHERE id = $1", h.raffle(), h.random.IntN(7)-2)
	}},
	{"a raffle comes and goes", func(h *history) {
		h.exec("INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at) VALUES (99, 1, 1, now(), '2040-01-01')")
		h.exec("INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (99, 1, 260, 5, now())")
		h.exec("DELETE FROM bids WHERE raffle_id = 99")
		h.exec("DELETE FROM raffles WHERE id = 99")
	}},
	{"a raffle goes, its bids stay, and it comes back", func(h *history) {
		raffle := h.raffle()
		h.exec("CREATE TEMP TABLE kept AS SELECT * FROM raffles WHERE id = $1", raffle)
		h.exec("DELETE FROM raffles WHERE id = $1", raffle)
		h.exec("INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES ($1, 1, 260, 5, clock_timestamp())", raffle)
		rest(h.random, 50)
		h.exec("INSERT INTO raffles SELECT * FROM kept")
		h.exec("DROP TABLE kept")
	}},
	{"change a product", func(h *history) {
		h.exec("UPDATE products SET release_price = release_price + 1, name = name || 'x' WHERE id = $1", 1+h.random.IntN(5))
	}},
	{"add a product", func(h *history) {
		h.exec(`INSERT INTO products (name, model, color, category, image_url, release_price, release_date)
			VALUES ('new', 'N', 'sand', 'sneakers', '/n.png', 1000, '2026-11-24')`)
	}},
	{"truncate", func(h *history) { h.clear("TRUNCATE bids") }},
	{"truncate within a transaction", func(h *history) {
		h.clear("BEGIN; UPDATE bids SET price = price + 1 WHERE raffle_id <= 4; TRUNCATE bids; INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (2, 1, 265, 9, clock_timestamp()); COMMIT")
	}},
	{"commit in the other order", (*history).crossed},
}

// clear executes a statement that removes the clients' bids too. The statement needs the lock of a table, and a
// replicator that was stopped within a copy keeps that lock until another one takes over.
func (h *history) clear(sql string) {
	if !slices.ContainsFunc(h.replicators, func(r *replicator) bool { return !r.stopped }) {
		return
	}
	c := h.clients.recorder.Clear(-1)
	h.exec(sql)
	c.Done(h.lsn())
}

// rests give the replicators some time, up to all that they need.
var rests = []event{
	{"rest", func(h *history) { <-time.After(time.Duration(h.random.IntN(30)) * time.Millisecond) }},
	{"rest longer", func(h *history) { <-time.After(time.Duration(h.random.IntN(120)) * time.Millisecond) }},
	{"catch up", func(h *history) {
		if len(h.pending) == 0 { // no fault is pending
			h.endPause()
			h.reached()
		}
	}},
}

// crossed runs two transactions. The one that begins first commits last.
func (h *history) crossed() {
	h.exec("BEGIN")
	h.exec(insertFew, 3)
	_, err := h.other.Exec(h.ctx, insertFew, 3)
	h.must(err)
	h.exec(insertFew, 3)
	h.exec("COMMIT")
}

// faults are the faults that the system must survive.
var faults = []event{
	{"kill a replicator", func(h *history) { h.restart(func() {}, h.any()) }},
	{"stop a replicator", func(h *history) { h.any().stop(h) }},
	{"stop a replicator until it is given up", func(h *history) { h.any().stop(h); h.endSessions() }},
	{"flush redis", func(h *history) { h.must(h.redis.FlushAll(h.ctx).Err()) }},
	{"kill redis", func(h *history) { h.rewritten(); h.server.Kill(h.t); h.server.Start(h.t) }},
	{"kill redis and lose its last writes", func(h *history) { h.rewritten(); h.server.Kill(h.t); h.cut(); h.server.Start(h.t) }},
	{"restore redis from a backup", func(h *history) { h.server.Kill(h.t); h.backup.restore(h); h.server.Start(h.t) }},
	{"take the checkpoint away", func(h *history) { h.must(h.redis.Del(h.ctx, readmodel.CheckpointKey).Err()) }},
	{"cut the connections of redis", func(h *history) {
		h.must(h.redis.ClientKillByFilter(h.ctx, "TYPE", "normal", "SKIPME", "yes").Err())
	}},
	{"a key is lost", (*history).loseKey},
	{"a row that the read model can't hold", (*history).poison},
	{"pause", (*history).pause},
	{"terminate the walsender", func(h *history) { h.terminate("replicator") }},
	{"terminate the control session", func(h *history) { h.terminate("replicator-control") }},
	{"drop the slot", func(h *history) { h.restart(h.dropSlots, h.replicators...) }},
	{"drop the slot of a running one", (*history).dropInUse},
}

func (h *history) any() *replicator { return h.replicators[h.random.IntN(len(h.replicators))] }

// stop pauses a replicator for a while, unless it is paused already.
func (r *replicator) stop(h *history) {
	if r.stopped {
		return
	}
	r.Pause(h.t)
	r.stopped = true
	pid := r.PID()
	h.after(1+h.random.IntN(4), "resume", func() {
		if r.stopped && r.PID() == pid { // otherwise it was killed meanwhile
			r.Resume(h.t)
			r.stopped = false
		}
	})
}

// restart kills replicators, stopped or not, and starts them again after meanwhile.
func (h *history) restart(meanwhile func(), replicators ...*replicator) {
	for _, r := range replicators {
		r.Kill(h.t)
		r.stopped = false
	}
	meanwhile()
	for _, r := range replicators {
		r.Start(h.t)
	}
}

func (h *history) terminate(application string) {
	h.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1", application)
}

func (h *history) dropSlots() {
	testenv.EventuallyNoError(h.t, patience, "drop the slots", h.tryDropSlots)
}

// tryDropSlots fails while a slot is in use.
func (h *history) tryDropSlots() error {
	_, err := h.db.Exec(h.ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
		WHERE database = current_database() AND slot_name LIKE 'pyramid%'`)
	return err
}

// dropInUse tries to drop the slot in the moment between two of its users.
func (h *history) dropInUse() {
	h.terminate("replicator")
	if err := h.tryDropSlots(); err != nil {
		h.told = append(h.told, err.Error())
	}
}

// backup is a copy of the append-only files of Redis.
type backup struct {
	files map[string][]byte
	left  bool // the primary's line has split since: the next history needs another
}

func (h *history) files() string { return filepath.Join(h.server.Dir(), "appendonlydir") }

func (h *history) save() *backup {
	b := &backup{files: map[string][]byte{}}
	entries, err := os.ReadDir(h.files())
	h.must(err)
	for _, e := range entries {
		b.files[e.Name()], err = os.ReadFile(filepath.Join(h.files(), e.Name()))
		h.must(err)
	}
	return b
}

func (b *backup) restore(h *history) {
	h.must(os.RemoveAll(h.files()))
	h.must(os.Mkdir(h.files(), 0o700))
	for name, content := range b.files {
		h.must(os.WriteFile(filepath.Join(h.files(), name), content, 0o600))
	}
}

// lost bounds how many bytes Redis loses at the end of its file. Redis writes 300 bytes a second when nothing happens
// and a hundred times as many when a lot does, so this can be less or more than what it had time to sync.
const lost = 20_000

// rewritten waits until Redis has written its append-only file anew since its start, because the next fault needs a
// file that is not torn (see session.Replicator.rewrite). All replicators may be stopped now, so the history asks Redis
// itself.
func (h *history) rewritten() {
	testenv.EventuallyNoError(h.t, patience, "the append-only file is written anew", func() error {
		info, err := h.redis.InfoMap(h.ctx, "persistence").Result()
		if err != nil {
			return err
		}
		file := info["Persistence"]
		if file["aof_rewrites"] == "0" && file["aof_rewrite_in_progress"] == "0" {
			err = h.redis.BgRewriteAOF(h.ctx).Err()
		}
		if err == nil && (file["aof_rewrites"] == "0" || file["aof_rewrite_in_progress"] != "0") {
			err = fmt.Errorf("%v", file)
		}
		return err
	})
}

// cut removes the end of the file to which Redis appends, but nothing that was in the backup.
func (h *history) cut() {
	files, err := filepath.Glob(filepath.Join(h.files(), "*.incr.aof"))
	h.must(err)
	last := slices.MaxFunc(files, func(a, b string) int {
		x, err := os.Stat(a)
		h.must(err)
		y, err := os.Stat(b)
		h.must(err)
		return x.ModTime().Compare(y.ModTime())
	})
	info, err := os.Stat(last)
	h.must(err)
	least := len(h.backup.files[filepath.Base(last)])
	h.must(os.Truncate(last, max(info.Size()-h.random.Int64N(lost), int64(least))))
}

// alterations remove something from the publication and put it back, so that the stream has a gap.
var alterations = []event{
	{"a table leaves the publication for a moment", func(h *history) {
		h.exec("ALTER PUBLICATION pyramid DROP TABLE bids")
		h.exec(insertFew, 5)
		h.exec("ALTER PUBLICATION pyramid ADD TABLE bids")
	}},
	{"operations leave the publication for a moment", func(h *history) {
		h.exec("ALTER PUBLICATION pyramid SET (publish = 'insert')")
		h.exec("DELETE FROM bids WHERE raffle_id = $1 AND id % 2 = 0", h.raffle())
		h.exec(insertFew, 5)
		rest(h.random, 60)
		h.exec("ALTER PUBLICATION pyramid SET (publish = 'insert, update, delete, truncate')")
	}},
	{"the publication has a row filter for a moment", func(h *history) {
		h.exec("ALTER PUBLICATION pyramid SET TABLE raffles, products, bids WHERE (size <> 265)")
		h.exec(insertFew, 20)
		rest(h.random, 60)
		h.exec("ALTER PUBLICATION pyramid SET TABLE raffles, products, bids")
	}},
}
