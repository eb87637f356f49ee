package verify

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

const (
	piecesEpoch = readmodel.Epoch(1)
	piecesBids  = chunkMembers + 100
)

func pieceBid(i, quantity int) readmodel.Bid {
	return readmodel.Bid{RaffleID: 1, ID: int64(i + 1), UserID: 1, CreatedAt: int64(i + 1), Price: 1000, Quantity: int32(quantity), Size: 270}
}

// atEnd are the bids around the end of the first piece. In the order of the highest bids the sentinel comes first.
var atEnd = []int{chunkMembers - 2, chunkMembers - 1}

var pieceKeys = []key{{newest, set{1, 270}}, {highest, set{1, 270}}, {sizeNewest, set{size: 270}}}

// write adds a bid to its sets.
func write(ctx context.Context, pipe redis.Pipeliner, b readmodel.Bid) {
	for _, k := range pieceKeys {
		member, score := pieceMember(k, b)
		pipe.ZAdd(ctx, k.name(piecesEpoch), redis.Z{Score: score, Member: member})
	}
}

func pieceMember(k key, b readmodel.Bid) (member []byte, score float64) {
	switch k.kind {
	case sizeNewest:
		return b.AppendSizeMember(nil), b.NewestScore()
	case highest:
		return b.AppendMember(nil), b.HighestScore()
	default:
		return b.AppendMember(nil), b.NewestScore()
	}
}

// stand writes a checkpoint at a position.
func stand(ctx context.Context, pipe redis.Pipeliner, at wal.LSN) {
	cp := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "slot", LSN: at, Epoch: piecesEpoch, Token: "token", Publication: "p"}
	pipe.Set(ctx, readmodel.CheckpointKey, cp.String(), 0)
}

// pieces fills Redis and a model with a large set, in all its orders.
func pieces(ctx context.Context, t *testing.T, client *redis.Client) *comparison {
	t.Helper()
	m := newModel(Everything, newHasher())
	m.members[set{1, 270}] = make(content)
	m.raffle(readmodel.Raffle{ID: 1}, 1)
	pipe := client.TxPipeline()
	pipe.FlushAll(ctx)
	pipe.Set(ctx, piecesEpoch.SizeFloor(270), "0", 0)
	for _, k := range pieceKeys {
		pipe.Do(ctx, "ZADD", k.name(piecesEpoch), sentinelText(k.kind), readmodel.Sentinel)
	}
	for i := range piecesBids {
		m.bid(pieceBid(i, 1), 1)
		write(ctx, pipe, pieceBid(i, 1))
	}
	stand(ctx, pipe, 100)
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	return &comparison{client: client, limit: rate.NewLimiter(rate.Inf, portion), epoch: piecesEpoch,
		source: &source{barrier: newBarrier(m, 90), system: wal.System{ID: 1, Timeline: 1}}}
}

// changeAtEnd changes the bids around the end of the first piece after that piece was read and before the next is:
// first in Redis, then in the stream. The bids keep their places.
func (c *comparison) changeAtEnd(ctx context.Context) error {
	g := c.source.barrier
	if err := g.Begin(wal.Transaction{Final: 95}); err != nil { // waits until the first piece was read
		return err
	}
	pipe := c.client.TxPipeline()
	for _, i := range atEnd {
		for _, k := range pieceKeys {
			member, _ := pieceMember(k, pieceBid(i, 1))
			pipe.ZRem(ctx, k.name(piecesEpoch), member)
		}
		write(ctx, pipe, pieceBid(i, 2))
	}
	stand(ctx, pipe, 110)
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	if err := errors.Join(g.Commit(100), g.Begin(wal.Transaction{Final: 105})); err != nil {
		return err
	}
	for _, i := range atEnd {
		g.model.bid(pieceBid(i, 1), -1)
		g.model.bid(pieceBid(i, 2), 1)
	}
	return g.Commit(110)
}

func TestABidThatChangesAtTheEndOfAPieceIsNoDifference(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: testenv.StartRedis(t).Addr(), MaxRetries: -1, Protocol: 2})
	defer client.Close()
	for _, k := range pieceKeys {
		check := func(what string, compare func(*comparison) (bool, error)) {
			c := pieces(ctx, t, client)
			changed := make(chan error, 1)
			go func() { changed <- c.changeAtEnd(ctx) }()
			differs, err := compare(c)
			c.source.end(context.Canceled) // the changes have been applied, unless something failed
			if err := errors.Join(err, <-changed); err != nil || differs {
				t.Errorf("%s, %s: it differs: %v, %v", k.name(piecesEpoch), what, differs, err)
			}
		}
		check("by contents", func(c *comparison) (bool, error) {
			d, err := c.compareSorted(ctx, k)
			return !d.none(), err
		})
		if k.kind == sizeNewest {
			continue
		}
		check("by digests", func(c *comparison) (differs bool, err error) {
			r, err := newSetReader(ctx, client.Options(), c)
			if err != nil {
				return false, err
			}
			defer func() { err = errors.Join(err, r.conn.Close()) }()
			return c.compareLarge(ctx, r, k, func(int64) {})
		})
	}
}
