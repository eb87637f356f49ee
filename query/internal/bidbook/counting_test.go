package bidbook

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// W7: a count that is too much on one path is not tried on the next one. Counts have few places and do not hold up
// other reads.
func TestCountsHavePlacesOfTheirOwn_W7(t *testing.T) {
	redis := pathOf(PathRedis)
	redis.gate = nil
	c := chainOf(redis, pathOf(PathReplica), pathOf(PathStandby), pathOf(PathPrimary))
	var asked []Path
	look := func(ctx context.Context, r Reader, _ lsn.Position) (int, Position, error) {
		asked = append(asked, r.(*named).name)
		if r.(*named).name == PathRedis {
			return 0, Position{}, ErrIncomplete
		}
		return 0, Position{}, ErrTooMuch
	}
	if _, _, err := run(t.Context(), c, Want{counts: new(int64)}, look); !errors.Is(err, ErrBusy) || len(asked) != 2 {
		t.Errorf("W7: %v was asked: %v", asked, err)
	}
	c.counting = newGate(1, 0, 0)
	if err := c.counting.enter(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	good := func(_ context.Context, r Reader, _ lsn.Position) (Path, Position, error) {
		if name := r.(*named).name; name != PathRedis {
			return name, Position{}, nil
		}
		return "", Position{}, ErrIncomplete
	}
	if _, _, err := run(t.Context(), c, Want{counts: new(int64)}, good); !errors.Is(err, ErrBusy) {
		t.Errorf("W7: one more count: %v", err)
	}
	if got, _, err := run(t.Context(), c, Want{}, good); got != PathReplica || err != nil {
		t.Errorf("W7: a read beside the counts: %q, %v", got, err)
	}
}

// W7: when Redis lags, details are counted by a fresher standby only as long as there are places for counts.
func TestCountsHavePlacesWhenRedisLags_W7(t *testing.T) {
	redis, replica := pathOf(PathRedis), pathOf(PathReplica)
	redis.gate = nil
	c := chainOf(redis, replica, pathOf(PathStandby), pathOf(PathPrimary))
	c.left.Store(&Position{LagMillis: 5000})
	look := func(_ context.Context, r Reader, _ lsn.Position) (Path, Position, error) {
		return r.(*named).name, Position{}, nil
	}
	for _, want := range []Path{PathReplica, PathRedis} {
		if got, _, err := run(t.Context(), c, Want{counts: new(int64)}, look); got != want || err != nil {
			t.Errorf("W7: %q, %v, want %q", got, err, want)
		}
		if got, _, err := run(t.Context(), c, Want{}, look); got != PathReplica || err != nil {
			t.Errorf("W7: a read that counts nothing: %q, %v", got, err)
		}
		c.counting = newGate(0, time.Minute, 1) // without a place
	}
}

// W7: after a count, its place rests in proportion to the bids that were counted, however long the count took.
func TestACountRestsByItsBids_W7(t *testing.T) {
	for name, c := range map[string]struct {
		bids int64
		err  error
		rest time.Duration
	}{
		"few bids":     {250, nil, time.Millisecond},
		"many bids":    {100_000, nil, 400 * time.Millisecond},
		"too many":     {0, ErrTooMuch, 1600 * time.Millisecond},
		"none at all":  {0, nil, 0},
		"unknown path": {0, errors.New("broken pipe"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				redis, replica := pathOf(PathRedis), pathOf(PathReplica)
				redis.gate, redis.reader = nil, answering{redis.reader, RaffleDetail{}, ErrIncomplete}
				replica.reader = answering{replica.reader, RaffleDetail{Sizes: []SizeSummary{{Count: c.bids}}}, c.err}
				chain := chainOf(redis, replica, pathOf(PathStandby), pathOf(PathPrimary))
				for _, p := range chain.paths[2:] {
					p.reader = answering{p.reader, RaffleDetail{}, ErrIncomplete}
				}
				_, _, err := chain.Raffle(t.Context(), 1, Want{})
				if (err != nil) != (c.err != nil) {
					t.Errorf("%v", err)
				}
				if c.rest > 0 {
					<-time.After(c.rest - 1)
					synctest.Wait()
					if len(chain.counting.slots) != 1 {
						t.Error("W7: the place was free too early")
					}
				}
				<-time.After(1)
				synctest.Wait()
				if len(chain.counting.slots) != 0 {
					t.Error("W7: the place was not given back")
				}
			})
		})
	}
}

// answering answers details in one way.
type answering struct {
	Reader
	detail RaffleDetail
	err    error
}

func (f answering) Raffle(context.Context, int64, lsn.Position) (RaffleDetail, Position, error) {
	return f.detail, Position{}, f.err
}
