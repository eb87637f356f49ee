package main

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// After SIGTERM the service says at once that it is not ready, and takes bids until the front door knows.
func TestDrains(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	p := start(t, db, "DRAIN_DELAY=1s")
	token := p.login()
	p.Signal(t, syscall.SIGTERM)
	began := time.Now()
	testenv.Eventually(t, 5*time.Second, "the service is not ready", func() bool {
		status, _ := p.get(p.admin + "/readyz")
		return status == http.StatusServiceUnavailable
	})
	if took := time.Since(began); took > time.Second {
		t.Errorf("not ready after %v", took)
	}
	placed := 0
	for {
		answer, err := p.post("/v1/raffles/1/bids", token, `{"size":270,"price":1000}`)
		if err != nil {
			break // the listener is closed
		}
		if status, body := read(t, answer); status != http.StatusCreated || !answer.Close {
			t.Errorf("during the drain: %d %s, Connection: close %v", status, body, answer.Close)
		}
		placed++
	}
	if took := time.Since(began); placed < 2 || took < 900*time.Millisecond {
		t.Errorf("%d bids taken within %v", placed, took)
	}
	if status, took := p.Wait(t), time.Since(began); status != 0 || took > 10*time.Second {
		t.Errorf("exit status %d after %v", status, took)
	}
	if n := fixture.Count(t, db, "SELECT count(*) FROM bids"); n != int64(placed) {
		t.Errorf("%d bids answered, %d placed", placed, n)
	}
}
