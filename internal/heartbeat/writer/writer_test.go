package writer_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat/writer"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// start runs a writer until the end of the test.
func start(t *testing.T, url string) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	w, err := writer.New(url, new(pg.Timelines), slog.New(slog.NewTextHandler(t.Output(), nil)), reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return reg
}

func newest(t *testing.T, url string) (number int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err == nil {
		err = errors.Join(conn.QueryRow(t.Context(), "SELECT max(number) FROM heartbeats").Scan(&number), conn.Close(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	return number
}

// counted is the sum of a counter over its labels.
func counted(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// beats waits for the next heartbeats.
func beats(t *testing.T, url, what string) {
	t.Helper()
	from := newest(t, url)
	testenv.Eventually(t, 10*time.Second, what, func() bool { return newest(t, url) >= from+2 })
}

// P7: bids, a loader or a standby do not stop the heartbeat.
func TestHeartbeatGoesOn_P7(t *testing.T) {
	t.Parallel()
	primary := testenv.StartPostgres(t)
	standby := primary.StartStandby(t)
	url := primary.URL("postgres")
	start(t, primary.URL("command"))
	beats(t, url, "heartbeats")

	blocker, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE raffles, bids, products"); err != nil {
		t.Fatal(err)
	}
	beats(t, url, "heartbeats while the tables are locked")
	if err := blocker.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	primary.SetSynchronous(t, testenv.StandbyName)
	standby.Pause(t)
	beats(t, url, "heartbeats while a synchronous standby is away")
	standby.Resume(t)
}

// When a node freezes and another is promoted, the heartbeat follows within seconds, whichever is named first. A node
// that was overtaken gets none.
func TestHeartbeatFollowsThePromotion_P7_P10(t *testing.T) {
	t.Parallel()
	first := testenv.StartPostgres(t)
	second := first.StartStandby(t)
	url := testenv.MultiHostURL(first.URL("command"), second.URL("command"))
	reg := start(t, url+"&target_session_attrs=read-write")
	start(t, url)
	beats(t, first.URL("postgres"), "heartbeats")
	first.Pause(t)
	second.Promote(t)
	beats(t, second.URL("postgres"), "heartbeats of the promoted node")
	testenv.Eventually(t, 10*time.Second, "failures are counted", func() bool { return counted(t, reg, "heartbeat_failures_total") > 0 })
	first.Resume(t)
	testenv.EventuallyNoError(t, 10*time.Second, "the thawed node answers", func() error {
		conn, err := pgx.Connect(t.Context(), first.URL("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(t.Context())
	})
	last := newest(t, first.URL("postgres"))
	beats(t, second.URL("postgres"), "heartbeats of the promoted node go on")
	if now := newest(t, first.URL("postgres")); now > last+1 { // one may have been under way when the node froze
		t.Errorf("%d heartbeats of a node that was overtaken", now-last)
	}
}

// A primary that was closed is no failure, and gets its heartbeat again when it is opened.
func TestAClosedPrimaryGetsNoHeartbeat(t *testing.T) {
	t.Parallel()
	p := testenv.StartPostgres(t)
	reg := start(t, p.URL("command"))
	beats(t, p.URL("postgres"), "heartbeats")
	p.Configure(t, testenv.Set("default_transaction_read_only", "on"))
	was := counted(t, reg, "heartbeats_total")
	testenv.Eventually(t, 10*time.Second, "the writer has noticed", func() bool {
		now := counted(t, reg, "heartbeats_total")
		quiet := now == was
		was = now
		return quiet
	})
	p.Configure(t, testenv.Set("default_transaction_read_only", "off"))
	beats(t, p.URL("postgres"), "heartbeats again")
	if n := counted(t, reg, "heartbeat_failures_total"); n != 0 {
		t.Errorf("%v failures", n)
	}
}

// Four writers write hardly more heartbeats than one.
func TestWritersShareTheHeartbeat(t *testing.T) {
	t.Parallel()
	p := testenv.StartPostgres(t)
	url := p.URL("postgres")
	began, from := time.Now(), newest(t, url)
	for range 4 {
		start(t, p.URL("replicator"))
	}
	testenv.Eventually(t, 20*time.Second, "five heartbeats", func() bool { return newest(t, url) >= from+5 })
	if d := time.Since(began); d < 2*time.Second {
		t.Errorf("five heartbeats within %v", d)
	}
}

func TestErrorsKeepThePassword(t *testing.T) {
	_, err := writer.New("postgres://command:secret@localhost:port/pyramid", new(pg.Timelines), slog.Default(), prometheus.NewRegistry())
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}
