package wal

import (
	"context"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P14: the standbys count as the server counts them for a commit. The role replicator may ask.
func TestStandbysCountAsForACommit_P14(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	p := testenv.StartPostgres(t)
	p.StartStandby(t)
	servers, err := Servers(p.URL("replicator"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := servers[0].Open(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	standbys := NewStandbys(conn)
	t.Cleanup(func() { standbys.Close() })
	p.SetSynchronous(t, testenv.StandbyName)
	testenv.Eventually(t, 10*time.Second, "the standby has said what it has flushed", func() bool {
		f, err := standbys.Ask(ctx)
		return err == nil && f.Standbys != 0
	})
	for _, c := range []struct {
		names         string
		awaited, some bool
	}{
		{"", false, false},
		{"standby", true, true},
		{`"standby", other`, true, true},
		{"1 (standby, other)", true, true},
		{"FIRST 2 (standby, other)", true, false},
		{"2(other, standby)", true, false},
		{"any 1 (other, standby)", true, true},
		{"ANY 2 (standby, other)", true, false},
	} {
		p.SetSynchronous(t, c.names)
		f, err := standbys.Ask(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if some := f.Standbys != 0; f.Awaited != c.awaited || some != c.some || f.Primary == 0 || f.Standbys > f.Primary {
			t.Errorf("%q: %+v", c.names, f)
		}
	}
}
