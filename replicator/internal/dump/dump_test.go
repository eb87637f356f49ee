package dump

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const epoch = readmodel.Epoch(7)

func newClient(t *testing.T) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: testenv.StartRedis(t).Addr()})
	t.Cleanup(func() { client.Close() })
	return client
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bids are members of the set of newest bids with the ids from first to last.
func bids(first, last int64) (members []redis.Z) {
	for id := first; id <= last; id++ {
		b := readmodel.Bid{RaffleID: 1, ID: id, UserID: 3, CreatedAt: id, Price: 5, Quantity: 1, Size: 270}
		members = append(members, redis.Z{Score: b.NewestScore(), Member: b.AppendMember(nil)})
	}
	return members
}

// during calls do before the line number at is written.
type during struct {
	bytes.Buffer
	at    int
	do    func()
	lines int
}

func (d *during) Write(p []byte) (int, error) {
	if d.lines == d.at {
		d.do()
	}
	d.lines++
	return d.Buffer.Write(p)
}

// While bids come in and are cancelled, the pages of a dump neither repeat nor leave out a bid that stays.
func TestPagesFitTogetherWhileTheSetChanges(t *testing.T) {
	ctx, client := context.Background(), newClient(t)
	key, n := epoch.Newest(1, 270), int64(2*page+100)
	must(t, client.ZAdd(ctx, key, bids(1, n)...).Err())
	gone := bids(n-page, n-page+2) // the last bids of the first page, which has one more than later pages
	out := &during{at: page, do: func() {
		must(t, client.ZAdd(ctx, key, bids(n+1, n+70)...).Err())
		for _, z := range gone {
			must(t, client.ZRem(ctx, key, z.Member).Err())
		}
	}}
	result, err := Run(ctx, client, Options{Key: key}, out)
	must(t, err)
	if result.Items != n {
		t.Errorf("%d items, want %d: the first page still has the bids that were removed after it was read", result.Items, n)
	}
	want := n
	for line := range strings.Lines(out.String()) {
		var b bid
		must(t, json.Unmarshal([]byte(line), &b))
		if b.ID != want || b.Score != float64(want) || b.RaffleID != 1 || b.Size != 270 {
			t.Fatalf("%+v in place of bid %d", b, want)
		}
		want--
	}
}

func TestAKeyThatVanishesIsAnError(t *testing.T) {
	ctx, client := context.Background(), newClient(t)
	key := epoch.Newest(1, 270)
	must(t, client.ZAdd(ctx, key, bids(1, 2*page)...).Err())
	_, err := Run(ctx, client, Options{Key: key}, &during{at: 10, do: func() { must(t, client.Del(ctx, key).Err()) }})
	if !errors.Is(err, ErrChanged) {
		t.Errorf("%v", err)
	}
}

func TestWhatCanNotBeReadIsPrintedAsItIs(t *testing.T) {
	ctx, client := context.Background(), newClient(t)
	key := epoch.Newest(1, 270)
	must(t, client.ZAdd(ctx, key, append(bids(1, 2), redis.Z{Score: 9, Member: "\x01\xff"})...).Err())
	var out bytes.Buffer
	result, err := Run(ctx, client, Options{Key: key}, &out)
	must(t, err)
	if result != (Result{Items: 3, Unreadable: 1}) || !strings.Contains(out.String(), `{"unreadable":"01ff","error":`) {
		t.Errorf("%+v\n%s", result, out.String())
	}
}

func TestWrongKeysAreToldApart(t *testing.T) {
	ctx, client := context.Background(), newClient(t)
	must(t, client.Set(ctx, epoch.Raffles(), "no set", 0).Err())
	for name, want := range map[string]string{
		"sessions":                "the read model has no key of this name",
		"{r1}:7:m:270":            "the read model has no key of this name",
		epoch.Newest(2, 270):      "redis has no such key",
		readmodel.CheckpointKey:   "redis has no such key",
		"{r1}:*:raffle":           "no epoch is served",
		epoch.Raffles():           "is a string in Redis, and must be a zset",
		"{r1}:*raffle":            "the read model has no key of this name",
		readmodel.EvictionsKey:    "redis has no such key",
		epoch.RafflesVersion():    "redis has no such key",
		epoch.Products() + ":all": "the read model has no key of this name",
	} {
		if _, err := Run(ctx, client, Options{Key: name}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
