package test

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// equal compares all of Redis with the primary: every set in both orders, and no other keys. It returns the checkpoint
// with which the comparison began.
func (s *system) equal() readmodel.Checkpoint {
	s.t.Helper()
	for try := 1; ; {
		c := s.reached()
		err := s.compare(c)
		switch {
		case s.over(c):
		case err == nil || try == tries:
			s.must(err)
			return c
		default: // a part may be in the middle of a reload
			try++
			<-time.After(100 * time.Millisecond)
		}
	}
}

// tries is how often Redis and the primary are compared until they must be equal.
const tries = 5

// over says whether another epoch or another replicator has followed, which makes the comparison worthless.
func (s *system) over(c readmodel.Checkpoint) bool {
	now, err := s.checkpoint()
	return err != nil || now.Epoch != c.Epoch || now.Token != c.Token
}

func (s *system) compare(c readmodel.Checkpoint) error {
	s.t.Helper()
	want := s.fromPrimary(c.Epoch)
	testenv.EventuallyNoError(s.t, patience, "only the served epoch's keys", func() error {
		for _, key := range s.contents(c.Epoch) {
			if _, expected := want[key]; !expected && !s.over(c) {
				return fmt.Errorf("%s is there", key)
			}
		}
		return nil
	})
	for key, members := range want {
		got, err := s.members(c.Epoch, key)
		if err != nil {
			return err
		}
		if len(got) != len(members) {
			return fmt.Errorf("%s has %d members, want %d", key, len(got), len(members))
		}
		for i := range got {
			if !bytes.Equal([]byte(got[i]), members[i]) {
				return fmt.Errorf("%s: member %d is %x, want %x", key, i, got[i], members[i])
			}
		}
	}
	return nil
}

// contents returns the keys whose value follows from the primary. It leaves out those that say how the epoch was made.
func (s *system) contents(served readmodel.Epoch) (keys []string) {
	s.t.Helper()
	all, err := s.redis.Keys(s.ctx, "*").Result()
	s.must(err)
	for _, key := range all {
		e, _ := readmodel.EpochOf(key)
		switch {
		case key == readmodel.CheckpointKey, key == readmodel.EvictionsKey, key == readmodel.PipelineKey:
		case e == served && (strings.HasSuffix(key, ":live") || strings.HasSuffix(key, ":version") || strings.HasSuffix(key, ":floor")):
		case key == served.AllSizes(), key == readmodel.ReloadedKey: // they also have sizes whose bids are gone
		default:
			keys = append(keys, key)
		}
	}
	return keys
}

// members returns the members of a key, or of a set over all raffles only those above its floor.
func (s *system) members(e readmodel.Epoch, key string) ([]string, error) {
	var size int16
	if n, _ := fmt.Sscanf(key, "{s%d}:", &size); n == 1 {
		return s.redis.ZRangeArgs(s.ctx, redis.ZRangeArgs{Key: key, Start: fmt.Sprintf("(%d", s.floor(e, size)), Stop: "+inf", ByScore: true}).Result()
	}
	switch kind := s.redis.Type(s.ctx, key).Val(); kind {
	case "zset":
		return s.redis.ZRange(s.ctx, key, 0, -1).Result()
	case "set":
		return s.redis.Sort(s.ctx, key, &redis.Sort{}).Result()
	case "hash":
		return hashMembers(s.redis.HGetAll(s.ctx, key).Result())
	case "string":
		v, err := s.redis.Get(s.ctx, key).Result()
		return []string{v}, err
	default:
		return nil, fmt.Errorf("%s is a %s", key, kind)
	}
}
