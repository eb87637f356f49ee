package snapshot

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func TestChecksumIsRedis(t *testing.T) {
	// The check value in redis/src/crc64.c.
	if got := checksum([]byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("%x", got)
	}
}

// RESTORE must make of a dump what ZADD would have made, in its members and in its encoding.
func TestDumpIsWhatZADDMakes(t *testing.T) {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: testenv.StartRedis(t).Addr()})
	defer client.Close()
	random := rand.New(rand.NewPCG(11, 11))
	scores := []int64{0, -1, 127, -128, math.MaxInt16, math.MinInt16, math.MaxInt16 + 1, math.MinInt16 - 1, 1<<23 - 1, 1 << 23, -1 << 23,
		-1<<23 - 1, math.MaxInt32, math.MinInt32, math.MaxInt32 + 1, 1_795_486_993_123_456}
	for _, n := range []int{1, 2, 60, 64, dumpListpack - 1, dumpListpack, dumpListpack + 1, 3000, 17_000} {
		var set []scored
		for i := range n {
			s := scored{member: make([]byte, 19+random.IntN(18)), score: int64(random.Int32())}
			if i < len(scores) {
				s.score = scores[i]
			}
			for j := range s.member[1:] {
				s.member[1+j] = byte(random.Uint32())
			}
			set = append(set, s)
		}
		slices.SortFunc(set, func(a, b scored) int {
			if a.score != b.score {
				return int(min(max(a.score-b.score, -1), 1))
			}
			return bytes.Compare(a.member, b.member)
		})
		for _, s := range set {
			client.ZAdd(ctx, "added", redis.Z{Score: float64(s.score), Member: s.member})
		}
		if err := client.Restore(ctx, "restored", 0, string(appendDump(nil, set))).Err(); err != nil {
			t.Fatalf("%d members: %v", n, err)
		}
		added, restored := client.ZRangeWithScores(ctx, "added", 0, -1).Val(), client.ZRangeWithScores(ctx, "restored", 0, -1).Val()
		if len(added) != n || !slices.Equal(added, restored) {
			t.Errorf("%d members: %d added, %d restored, or others", n, len(added), len(restored))
		}
		if a, r := client.ObjectEncoding(ctx, "added").Val(), client.ObjectEncoding(ctx, "restored").Val(); a != r {
			t.Errorf("%d members: %s is added as %s", n, r, a)
		}
		// The restored set must also take further members and lose some.
		for _, s := range set[:(n+1)/2] {
			if client.ZRem(ctx, "restored", s.member).Val() != 1 || client.ZScore(ctx, "restored", string(s.member)).Err() == nil {
				t.Fatalf("%d members: %x can't be removed", n, s.member)
			}
			client.ZAdd(ctx, "restored", redis.Z{Score: float64(s.score), Member: s.member})
		}
		if !slices.Equal(added, client.ZRangeWithScores(ctx, "restored", 0, -1).Val()) {
			t.Errorf("%d members: changed after removing and adding", n)
		}
		client.FlushAll(ctx)
	}
}
