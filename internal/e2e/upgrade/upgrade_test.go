package upgrade

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/sql/migrations"
)

// W2, R2, R4, R5, P9: the last release and the working tree run side by side, with one replicator and then the other, before
// and after the migrations. Both sides take bids and repeat each other's; every read, page and feed shows the same. At last
// query reads what a later release may have written.
func TestTwoReleasesServeTheSame_W2_R2_R4_R5_P9(t *testing.T) {
	s := startStack(t)
	l := s.newLoad(t)
	feed := s.newFeed()
	round := func(name string, feedAt *side) {
		t.Logf("%s; redis: %s", name, s.checkpoint(t))
		feed.follow(t, feedAt, func() (placed, gone map[int64]bool) { return l.write(t) })
		l.compare(t)
		l.first, l.second = l.second, l.first
	}
	for range rounds(t) {
		round("the replicator of the last release writes", s.old)
		s.handOver(t, s.old)
		round("the replicator of the working tree writes", s.old)
		round("the same", s.new)
		s.handOver(t, s.new)
		round("the replicator of the last release writes again", s.new)
	}
	s.migrate(t)
	round("after the migrations, the replicator of the last release", s.old)
	s.handOver(t, s.old)
	round("after the migrations, the replicator of the working tree", s.new)
	s.count(t, l)
	s.verify(t, s.new)
	s.handOver(t, s.new)
	s.verify(t, s.old)
	s.readLater(t, feed)
}

// rounds is how often both replicators take over from each other before the migrations.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("UPGRADE_ROUNDS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("UPGRADE_ROUNDS=%s is no number of rounds", text)
	}
	return n
}

// handOver stops the replicator that writes, so that the other side's goes on from its checkpoint, and starts it again.
func (s *stack) handOver(t *testing.T, from *side) {
	t.Helper()
	before := s.checkpoint(t)
	if status := from.replicator.Stop(t); status != 0 {
		t.Errorf("the replicator of %s ends with status %d", from.name, status)
	}
	var now readmodel.Checkpoint
	testenv.Eventually(t, patience, "the other replicator takes over", func() bool {
		now = s.checkpoint(t)
		return now.Token != before.Token
	})
	if now.Epoch != before.Epoch && now.Format == before.Format {
		t.Errorf("%s led to a rebuild: %s", before, now)
	}
	from.replicator.Start(t)
}

func (s *stack) checkpoint(t *testing.T) readmodel.Checkpoint {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.redis.Addr()})
	defer client.Close()
	text, err := client.Get(t.Context(), readmodel.CheckpointKey).Result()
	if err != nil {
		t.Fatal(err)
	}
	cp, err := readmodel.ParseCheckpoint(text)
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

// takeBack undoes the migrations that are newer than the last release. The released migrations must not have been edited.
func (s *stack) takeBack(t *testing.T) {
	t.Helper()
	list, err := migrations.List(t.Context(), s.primary.URL("migrator"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		released, err := os.ReadFile(filepath.Join(s.release.Tree(), "sql/migrations", m.File))
		if os.IsNotExist(err) {
			file, err := migrations.Down(t.Context(), s.primary.URL("migrator"))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("taken back: %s", file)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		now, err := os.ReadFile(filepath.Join("../../../sql/migrations", m.File))
		if err != nil || string(now) != string(released) {
			t.Errorf("%s was edited after its release (%v)", m.File, err)
		}
	}
}

// future is an expand migration as a later release may have one: columns that nobody here knows, and a table.
var future = []string{
	"ALTER TABLE users ADD COLUMN future text",
	"ALTER TABLE products ADD COLUMN future text NOT NULL DEFAULT 'x'",
	"ALTER TABLE raffles ADD COLUMN future jsonb",
	"ALTER TABLE bids ADD COLUMN future bigint NOT NULL DEFAULT 7",
	"ALTER TABLE cancelled_bids ADD COLUMN future bigint",
	"ALTER TABLE heartbeats ADD COLUMN future text DEFAULT 'x'",
	"CREATE TABLE future (id bigint PRIMARY KEY)",
}

// migrate applies the migrations of the working tree and then the future one, while all programs run.
func (s *stack) migrate(t *testing.T) {
	t.Helper()
	applied, err := migrations.Up(t.Context(), s.primary.URL("migrator"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("applied: %v", applied)
	for _, statement := range future {
		s.primary.Exec(t, statement) // each alone, so that no lock waits for another
	}
}

// count compares the rows of the primary with what the sides have acknowledged.
func (s *stack) count(t *testing.T, l *load) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, s.primary.URL("replicator"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT id FROM bids WHERE idempotency_key LIKE 'upgrade-%'")
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != len(l.placed)-len(l.gone) {
		t.Errorf("the primary has %d bids, %d were placed and %d of them cancelled", len(list), len(l.placed), len(l.gone))
	}
	for _, id := range list {
		if !l.placed[id] || l.gone[id] {
			t.Errorf("the primary has bid %d, placed %v, cancelled %v", id, l.placed[id], l.gone[id])
		}
	}
}
