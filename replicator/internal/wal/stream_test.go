package wal

import (
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// A status is sent while the receiver learns that the server is gone. Nothing else writes then, as `make race` shows.
func TestAStatusMeetsABrokenConnection(t *testing.T) {
	t.Parallel()
	p := testenv.StartPostgres(t)
	stream, snapshot, err := Temporary(t.Context(), p.URL("replicator"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if err := stream.Start(t.Context(), snapshot.Slot, 0); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := stream.receive(); err != nil {
				ended <- err
				return
			}
		}
	}()
	p.Kill(t)
	t.Log(<-ended)
	for stream.Status(0, false) == nil {
	}
}
