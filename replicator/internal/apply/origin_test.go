package apply

import (
	"errors"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
)

// P10: the first transaction of a resumed stream must be the last one in Redis, and it is skipped. Here Redis holds
// everything up to 100, and its last commit record begins at 90.
func TestTheStreamContinuesTheHistoryThatRedisHolds_P10(t *testing.T) {
	cp := readmodel.Checkpoint{LSN: 100, Commit: 90, CommitAt: 7}
	built := readmodel.Checkpoint{LSN: 100}
	type step struct {
		commit   projection.Commit
		position lsn.LSN // instead of a transaction
		skip     bool
		forgot   bool
	}
	for _, c := range []struct {
		name  string
		from  readmodel.Checkpoint
		steps []step
	}{
		{"the same transaction, then others", cp, []step{{commit: projection.Commit{Begins: 90, At: 7}, skip: true}, {commit: projection.Commit{Begins: 100, At: 8}}, {position: 130}, {commit: projection.Commit{Begins: 130, At: 9}}}},
		{"another transaction at its place", cp, []step{{commit: projection.Commit{Begins: 90, At: 8}, forgot: true}}},
		{"a transaction before it", cp, []step{{commit: projection.Commit{Begins: 80, At: 7}, forgot: true}}},
		{"none at its place", cp, []step{{commit: projection.Commit{Begins: 110, At: 9}, forgot: true}}},
		{"nothing but a position behind it", cp, []step{{position: 101, forgot: true}}},
		{"a further one that Redis lacks", cp, []step{{commit: projection.Commit{Begins: 90, At: 7}, skip: true}, {commit: projection.Commit{Begins: 95, At: 8}, forgot: true}}},
		{"sent twice", cp, []step{{commit: projection.Commit{Begins: 90, At: 7}, skip: true}, {commit: projection.Commit{Begins: 90, At: 7}, forgot: true}}},
		{"nothing applied since the build", built, []step{{position: 110}, {commit: projection.Commit{Begins: 110, At: 9}}}},
		{"nothing applied since the build, and one that Redis lacks", built, []step{{commit: projection.Commit{Begins: 99, At: 9}, forgot: true}}},
	} {
		o, held := originOf(c.from), c.from.LSN
		for i, s := range c.steps {
			var skip bool
			var err error
			if s.position != 0 {
				err = o.position(s.position)
				held = s.position
			} else if skip, err = o.begin(s.commit, held); !skip {
				held = s.commit.Begins + 1
			}
			if errors.Is(err, ErrForgot) != s.forgot || skip != s.skip {
				t.Errorf("%s, step %d: skip %v, %v", c.name, i, skip, err)
			}
		}
	}
}
