package live

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// stream is what XINFO STREAM tells of a raffle's stream. The zero stream stands for a key that does not exist.
type stream struct {
	exists        bool
	added, length int64             // entries: ever added, still there
	first         readmodel.EventID // of the oldest entry that is still there
}

// whole says whether the stream still has every event after an id. A raffle without events has no stream. If a client
// has seen an event and there is no stream, events were lost.
func (s stream) whole(after readmodel.EventID) bool {
	if !s.exists {
		return after.N == 0
	}
	return s.added == s.length || !s.first.After(after)
}

// entry is an entry of a stream, which is parsed only if it is needed.
type entry struct {
	id     readmodel.EventID
	packed string
}

// pageEntries is how many entries a resuming subscriber reads at once.
const pageEntries = 64

// readPage returns the first entries after an id and whether nothing was trimmed before them. One transaction reads
// both, so that nothing is trimmed in between.
func readPage(ctx context.Context, client *redis.Client, key string, after readmodel.EventID) (page []entry, whole bool, err error) {
	pipe := client.TxPipeline()
	exists := pipe.Exists(ctx, key)
	info := pipe.XInfoStream(ctx, key)
	messages := pipe.XRangeN(ctx, key, "("+after.String(), "+", pageEntries)
	// XINFO fails on a key that isn't there.
	if _, err := pipe.Exec(ctx); err != nil && exists.Val() != 0 || exists.Err() != nil {
		return nil, false, fmt.Errorf("%s after %s: %w", key, after, errors.Join(exists.Err(), err))
	}
	s, err := describe(exists, info)
	if err != nil {
		return nil, false, err
	}
	page, err = entries(messages.Val())
	return page, s.whole(after), err
}

func describe(exists *redis.IntCmd, info *redis.XInfoStreamCmd) (stream, error) {
	if exists.Val() == 0 {
		return stream{}, nil
	}
	v := info.Val()
	s := stream{exists: true, added: v.EntriesAdded, length: v.Length}
	if v.Length == 0 {
		return s, nil
	}
	first, err := readmodel.ParseEventID(v.FirstEntry.ID)
	s.first = first
	return s, err
}

func entries(messages []redis.XMessage) ([]entry, error) {
	list := make([]entry, 0, len(messages))
	for _, m := range messages {
		id, err := readmodel.ParseEventID(m.ID)
		if err != nil {
			return nil, err
		}
		packed, _ := m.Values[readmodel.LiveField].(string) // without the field the entry is unreadable
		list = append(list, entry{id, packed})
	}
	return list, nil
}
