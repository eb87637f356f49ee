// Package redisinfo reads what a Redis server says about itself. It uses INFO and not CONFIG GET, because managed
// servers refuse CONFIG GET.
package redisinfo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Info is the fields of INFO by their names.
type Info map[string]string

// Read asks for sections of INFO, or for the usual ones if none is named.
func Read(ctx context.Context, client redis.Cmdable, sections ...string) (Info, error) {
	text, err := client.Info(ctx, sections...).Result()
	if err != nil {
		return nil, fmt.Errorf("redis info: %w", err)
	}
	info := make(Info)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info, nil
}

// Number is a field as a number, 0 if the field is missing or no number.
func (i Info) Number(name string) int64 {
	n, _ := strconv.ParseInt(i[name], 10, 64)
	return n
}

// NoEviction is the only policy under which the sets in Redis can be trusted, because under every other policy Redis
// drops keys by itself (R1).
const NoEviction = "noeviction"

// Policy is what the server does when its memory is full.
func (i Info) Policy() string { return i["maxmemory_policy"] }

// ErrEvicts is returned for a Redis that may drop keys by itself.
var ErrEvicts = errors.New("redis must run with maxmemory-policy " + NoEviction)

// Evictions is how many keys this run of the server has evicted, as run_id:evicted_keys. It fails with ErrEvicts
// if the server may evict more.
func (i Info) Evictions() (string, error) {
	if _, err := strconv.ParseInt(i["evicted_keys"], 10, 64); err != nil {
		return "", fmt.Errorf("redis info: evicted_keys: %w", err)
	}
	if i.Policy() != NoEviction {
		return "", fmt.Errorf("%w, not %s", ErrEvicts, i.Policy())
	}
	return i["run_id"] + ":" + i["evicted_keys"], nil
}

// EvictedSince says whether the server has evicted keys between two answers of Evictions. The count begins at 0 with
// each run of the server. An empty before stands for a count of 0.
func EvictedSince(before, now string) bool {
	run, count, _ := strings.Cut(now, ":")
	oldRun, old, known := strings.Cut(before, ":")
	if !known || oldRun != run {
		old = "0"
	}
	return count != old
}
