package test

import (
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// loseKey removes a key of the served epoch, at once or by an expiry. The replicator notices it at the next write to
// the key. In any case the key's part is reloaded at the end of the history.
func (h *history) loseKey() {
	raffle, size, which, expires := h.raffle(), h.size(), h.random.IntN(8), h.random.IntN(2) == 0
	c, err := h.checkpoint()
	if err != nil {
		return // no epoch is served
	}
	e := c.Epoch
	lost := []struct {
		key  string
		part readmodel.Part
	}{
		{e.Newest(raffle, size), readmodel.Part{Raffle: raffle}}, {e.Highest(raffle, size), readmodel.Part{Raffle: raffle}},
		{e.Sizes(raffle), readmodel.Part{Raffle: raffle}}, {e.Raffle(raffle), readmodel.Part{Raffle: raffle}},
		{e.SizeNewest(size), readmodel.Part{Size: size}}, {e.SizeFloor(size), readmodel.Part{Size: size}},
		{e.Raffles(), readmodel.Part{}}, {e.Products(), readmodel.Part{}},
	}[which]
	if len(h.damaged) == 0 {
		h.damages.Add(1)
	}
	h.damaged = append(h.damaged, lost.part)
	h.told = append(h.told, "  "+lost.key)
	if expires {
		h.must(h.redis.PExpire(h.ctx, lost.key, time.Millisecond).Err())
	} else {
		h.must(h.redis.Del(h.ctx, lost.key).Err())
	}
}

// mended requests reloads of the damaged parts, and waits for them and for the reloads that the replicator requested
// itself.
func (h *history) mended() {
	if len(h.damaged) > 0 {
		h.reached()
		for _, part := range h.damaged {
			h.must(h.redis.SAdd(h.ctx, readmodel.ReloadKey, part.String()).Err())
		}
	}
	h.whole()
	if len(h.damaged) > 0 {
		h.damages.Add(1)
	}
	// A fork may have lost a correction, so the primary says what is still poisoned.
	var want string
	h.must(h.db.QueryRow(h.ctx, `SELECT coalesce(string_agg(name, ',' ORDER BY name COLLATE "C"), '') FROM (
		SELECT 'product ' || id AS name FROM products WHERE release_date = 'infinity'
		UNION SELECT unnest(ARRAY['lists', 'raffle ' || id]) FROM raffles WHERE ends_at = 'infinity'
		UNION SELECT unnest(ARRAY['raffle ' || raffle_id, 'size ' || size]) FROM bids WHERE created_at = 'infinity') p`).Scan(&want))
	if got := h.poisoned(); got != want {
		h.t.Errorf("spoiled are %q, want %q", got, want)
	}
}

// allow drops the constraints that keep rows out which the read model can't hold.
func (w *worker) allow() {
	w.exec(`ALTER TABLE raffles DROP CONSTRAINT raffles_times; ALTER TABLE bids DROP CONSTRAINT bids_created_at;
		ALTER TABLE products DROP CONSTRAINT products_release_date`)
}

// poisons is the number of kinds of poisoned rows.
const poisons = 3

// poison writes a row that the read model can't hold, and corrects it some events later.
func (h *history) poison() {
	raffle, product := h.raffle(), 1+h.random.IntN(5)
	var cure string
	var id any
	switch h.random.IntN(poisons) {
	case 0:
		h.exec("UPDATE raffles SET ends_at = 'infinity' WHERE id = $1", raffle)
		cure, id = "UPDATE raffles SET ends_at = timestamptz '2036-01-01' + id * interval '1 hour' WHERE id = $1", raffle
	case 1:
		h.exec("INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES ($1, 1, 265, 5, 'infinity')", raffle)
		cure, id = "DELETE FROM bids WHERE created_at = 'infinity' AND raffle_id = $1", raffle
	case 2:
		h.exec("UPDATE products SET release_date = 'infinity' WHERE id = $1", product)
		cure, id = "UPDATE products SET release_date = '2026-01-01' WHERE id = $1", product
	}
	h.after(1+h.random.IntN(5), "the row is put right", func() { h.exec(cure, id) })
}
