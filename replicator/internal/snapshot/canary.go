package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
)

// canaries are the numbers of members of two test sets. The first set fits into a listpack, the second does not.
var canaries = []int{3, dumpListpack + 1}

// TakesRestore says whether a server takes serialised sets and reads them as they are meant. Some servers refuse
// RESTORE, and others might read the form differently. It compares sets made by RESTORE with sets made by ZADD:
// members, scores and encoding. A full Redis can't be tried and counts as one that takes them.
func TakesRestore(ctx context.Context, client *redis.Client) (bool, error) {
	// Neither an epoch nor a raffle has the number 0. If these keys are left behind, a sweep removes them.
	restored, made := readmodel.Epoch(0).Newest(0, 1), readmodel.Epoch(0).Highest(0, 1)
	defer client.Del(context.WithoutCancel(ctx), restored, made)
	for _, n := range canaries {
		var set []scored
		var members []redis.Z
		for i := range n {
			score := int64(i-1) * 1_000_000_000_000
			member := readmodel.Bid{RaffleID: 1, ID: int64(i + 1), UserID: 7, Size: 1, Price: 1, Quantity: 1}.AppendMember(nil)
			set = append(set, scored{member, score})
			members = append(members, redis.Z{Score: float64(score), Member: member})
		}
		set, members = append(set, scored{[]byte(readmodel.Sentinel), plusInf}), append(members, redis.Z{Score: math.Inf(1), Member: readmodel.Sentinel})
		err := client.Del(ctx, restored, made).Err()
		if err == nil {
			err = client.ZAdd(ctx, made, members...).Err()
		}
		if err == nil {
			err = client.Restore(ctx, restored, 0, string(appendDump(nil, set))).Err()
		}
		same := false
		if err == nil {
			same, err = sameSet(ctx, client, restored, made)
		}
		switch {
		case sink.IsFull(err):
			return true, nil
		case err != nil || !same:
			return false, refusal(err)
		}
	}
	return true, nil
}

// refusal returns nil if err is an answer of the server, because that is an answer about RESTORE. Any other error is
// returned.
func refusal(err error) error {
	var answer redis.Error
	if err == nil || errors.As(err, &answer) {
		return nil
	}
	return fmt.Errorf("redis canary: %w", err)
}

func sameSet(ctx context.Context, client *redis.Client, a, b string) (bool, error) {
	var sets [2][]redis.Z
	var encodings [2]string
	for i, key := range []string{a, b} {
		var err error
		if sets[i], err = client.ZRangeWithScores(ctx, key, 0, -1).Result(); err != nil {
			return false, err
		}
		// A server that refuses OBJECT ENCODING gives an empty encoding for both sets.
		if encodings[i], err = client.ObjectEncoding(ctx, key).Result(); refusal(err) != nil {
			return false, err
		}
	}
	return encodings[0] == encodings[1] && slices.Equal(sets[0], sets[1]), nil
}
