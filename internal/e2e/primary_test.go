package e2e

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// primaryTime is how long each part of the test runs; PRIMARY_SECONDS is for long runs.
func primaryTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("PRIMARY_SECONDS")
	if text == "" {
		return 4 * time.Second
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 {
		t.Fatalf("PRIMARY_SECONDS is %q", text)
	}
	return time.Duration(seconds) * time.Second
}

// R2, R7: a read from the primary holds what it says, at 2,000 bids a second with cancellations: in quiet
// times, while a synchronous standby is away, while a transaction is left open, and while a transaction runs a
// statement.
func TestReadsFromThePrimaryHoldWhatTheySay_R2_R7(t *testing.T) {
	s := startStack(t)
	var bidders []string
	for n := range primaryBidders {
		bidders = append(bidders, s.login(t, fmt.Sprintf("user%d", n+1)))
	}
	for _, c := range []struct {
		name string
		do   func(*testing.T, *stack, *primaryLoad)
		// behind: some reads may be refused because a commit waits.
		behind bool
	}{
		{"plain", func(t *testing.T, _ *stack, l *primaryLoad) { l.wait(t, primaryTime(t)) }, false},
		{"synchronous standby paused", pauseStandby, true},
		{"idle transaction", func(t *testing.T, s *stack, l *primaryLoad) {
			open := s.superuser(t)
			mustExec(t, open, "BEGIN; UPDATE products SET name = name WHERE id = 1")
			l.wait(t, primaryTime(t))
		}, false},
		{"active transaction", func(t *testing.T, s *stack, l *primaryLoad) {
			open := s.superuser(t)
			mustExec(t, open, "BEGIN; UPDATE products SET name = name WHERE id = 2")
			slept := make(chan error, 1)
			go func() {
				_, err := open.Exec(context.Background(), "SELECT pg_sleep($1)", primaryTime(t).Seconds())
				slept <- err
			}()
			l.wait(t, primaryTime(t))
			if err := <-slept; err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newPrimaryLoad(s, bidders)
			stop := l.start(t)
			c.do(t, s, l)
			stop()
			l.judge(t, c.behind)
		})
	}
}

// pauseStandby stops the standby for half of the time, one second at a time, because command gives up on a
// longer pause.
func pauseStandby(t *testing.T, s *stack, l *primaryLoad) {
	t.Helper()
	s.primary.SetSynchronous(t, testenv.StandbyName)
	defer s.primary.SetSynchronous(t, "")
	for end := time.Now().Add(primaryTime(t)); time.Now().Before(end); {
		s.standby.Pause(t)
		paused := time.Now()
		l.wait(t, time.Second)
		l.pauses = append(l.pauses, span{paused, time.Now()})
		s.standby.Resume(t)
		l.wait(t, time.Second)
	}
}

func (s *stack) superuser(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func mustExec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// span is a time during which the standby was paused.
type span struct{ from, to time.Time }

// sample is how far the primary had flushed its WAL at a time.
type sample struct {
	at      time.Time
	flushed lsn.LSN
}

// sampleFlush notes the flush position every few milliseconds until end.
func (l *primaryLoad) sampleFlush(end <-chan struct{}, conn *pgx.Conn) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return nil
		case <-tick.C:
		}
		var text string
		if err := conn.QueryRow(context.Background(), "SELECT pg_current_wal_flush_lsn()::text").Scan(&text); err != nil {
			return err
		}
		flushed, err := lsn.Parse(text)
		if err != nil {
			return err
		}
		l.samples = append(l.samples, sample{time.Now(), flushed})
	}
}

// age is how old a read's position was when the read was asked: the time since the first sample before the read
// that the position does not cover.
func (l *primaryLoad) age(r primaryRead) time.Duration {
	i := sort.Search(len(l.samples), func(i int) bool { return l.samples[i].flushed > r.lsn })
	if i == len(l.samples) || l.samples[i].at.After(r.from) {
		return 0
	}
	return r.from.Sub(l.samples[i].at)
}
