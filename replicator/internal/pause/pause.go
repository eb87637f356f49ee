// Package pause lets operators pause and resume the active replicator. The order is a key in Redis, readmodel.PauseKey,
// beside the checkpoint. Both instances of a replicator see it there, so a restart or a takeover does not end a pause, and
// it ends with the data that it is about, if Redis is emptied.
//
// The active replicator looks for the key four times a second, and before it applies anything in a new session. Once no
// transaction is half applied and no reload runs, it stops and writes its token into the key, under the guard of the
// checkpoint (package sink). From then on nothing is applied until somebody removes the key.
package pause

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// LookEvery is how often the active replicator looks for a pause.
const LookEvery = 250 * time.Millisecond

var (
	// ErrNotTaken is returned if no replicator has stopped in time. The order stays.
	ErrNotTaken = errors.New("the pause is ordered, and no replicator has taken it yet")
	// ErrNotApplying is returned if no replicator goes on in time. The pause has ended all the same.
	ErrNotApplying = errors.New("the pause has ended, and no replicator applies anything yet")
)

// Read returns the pause, nil if there is none. A value that can't be read is a pause, too.
func Read(ctx context.Context, client *redis.Client) (*readmodel.Pause, error) {
	stored, err := client.Get(ctx, readmodel.PauseKey).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("redis pause: %w", err)
	}
	p, err := readmodel.ParsePause(stored)
	if err != nil {
		p.Reason = err.Error()
	}
	return &p, nil
}

// AppendTaken notes that the session with the token applies nothing. It does not bring back a pause that has ended.
func AppendTaken(c *resp.Commands, p readmodel.Pause, token string) {
	p.Taken = token
	c.Add("SET", readmodel.PauseKey, p.String(), "XX")
}

// Order orders a pause and waits until a replicator has stopped, for as long as patience. If there is a pause already, it
// stays as it is. It returns the pause.
func Order(ctx context.Context, client *redis.Client, reason string, patience time.Duration) (p readmodel.Pause, err error) {
	p = readmodel.Pause{Since: time.Now().UnixMicro(), Reason: reason}
	if err := client.SetNX(ctx, readmodel.PauseKey, p.String(), 0).Err(); err != nil {
		return p, fmt.Errorf("redis pause: %w", err)
	}
	done, err := await(ctx, patience, func() (bool, error) {
		now, err := Read(ctx, client)
		if err == nil && now == nil {
			err = errors.New("somebody has ended the pause meanwhile, or Redis was emptied")
		}
		if err == nil {
			p = *now
		}
		return p.Taken != "", err
	})
	if err == nil && !done {
		err = ErrNotTaken
	}
	return p, err
}

// End ends a pause and waits until a replicator goes on, for as long as patience. It returns the pause that has ended,
// nil if there was none.
func End(ctx context.Context, client *redis.Client, patience time.Duration) (*readmodel.Pause, error) {
	p, err := Read(ctx, client)
	if err != nil || p == nil {
		return nil, err
	}
	before, err := stands(ctx, client)
	if err != nil {
		return p, err
	}
	if err := client.Del(ctx, readmodel.PauseKey).Err(); err != nil {
		return p, fmt.Errorf("redis pause: %w", err)
	}
	done, err := await(ctx, patience, func() (bool, error) {
		now, err := stands(ctx, client)
		return now != before, err
	})
	if err == nil && !done {
		err = ErrNotApplying
	}
	return p, err
}

// stands is a text that changes whenever a replicator applies something or fills an epoch.
func stands(ctx context.Context, client *redis.Client) (string, error) {
	values, err := client.MGet(ctx, readmodel.CheckpointKey, readmodel.RebuildKey).Result()
	if err != nil {
		return "", fmt.Errorf("redis: %w", err)
	}
	return fmt.Sprint(values...), nil
}

func await(ctx context.Context, patience time.Duration, is func() (bool, error)) (bool, error) {
	for end := time.Now().Add(patience); ; {
		if done, err := is(); done || err != nil || time.Now().After(end) {
			return done, err
		}
		if err := sleep.For(ctx, LookEvery/5); err != nil {
			return false, err
		}
	}
}
