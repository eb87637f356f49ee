package snapshot

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// R1: a server that does not take serialised sets is noticed before a rebuild relies on it.
func TestSerialisedSetsAreTriedFirst_R1(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name string
		opts []testenv.Option
		want bool
	}{
		{"as it is", nil, true},
		{"small listpacks", []testenv.Option{testenv.Set("zset-max-listpack-entries", "2")}, true},
		{"without RESTORE", nil, false},
	} {
		client := redis.NewClient(&redis.Options{Addr: testenv.StartRedis(t, c.opts...).Addr()})
		defer client.Close()
		if !c.want {
			// A command that an ACL refuses counts like a command that the server lacks.
			if err := client.Do(ctx, "ACL", "SETUSER", "default", "-restore").Err(); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := TakesRestore(ctx, client); err != nil || got != c.want {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
		if n := client.DBSize(ctx).Val(); n != 0 {
			t.Errorf("%s: %d keys are left", c.name, n)
		}
	}
}
