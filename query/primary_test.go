package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// R2, R7: a commit that waits for a synchronous standby is flushed and not visible. A read from the primary does not
// claim to hold it. A read that wants it gets 503 and not 422, because its position is not in the future.
func TestThePrimaryDoesNotClaimACommitThatWaits_R2_R7(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	get := func(headers ...string) answer {
		return s.get(t, "/v1/raffles/1/bids?size=260&limit=2000", append(headers, "Read-Path", "primary")...)
	}
	before := get()
	s.primary.SetSynchronous(t, testenv.StandbyName)
	s.standby.Pause(t)
	defer s.standby.Resume(t)
	committed := s.insertAside(t, 30001)
	testenv.Eventually(t, patience, "the commit waits", func() bool {
		return s.one(t, "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"
	})
	flushed := "1-" + s.one(t, "SELECT pg_current_wal_flush_lsn()::text")
	now := get()
	if now.status != http.StatusOK || now.body != before.body || now.header.Get("Read-LSN") == flushed {
		t.Errorf("while it waits: %d at %s, flushed is %s, %s", now.status, now.header.Get("Read-LSN"), flushed, now.body)
	}
	beyond := "1-" + s.one(t, "SELECT (pg_current_wal_flush_lsn() + 1000000)::text")
	for min, want := range map[string]int{now.header.Get("Read-LSN"): http.StatusOK, flushed: http.StatusServiceUnavailable, beyond: http.StatusUnprocessableEntity} {
		if a := get("Min-LSN", min); a.status != want {
			t.Errorf("Min-LSN %s: %d %s, want %d", min, a.status, a.body, want)
		}
	}
	s.standby.Resume(t)
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	if a := get("Min-LSN", flushed); a.status != http.StatusOK || !strings.Contains(a.body, `"id":30001,`) {
		t.Errorf("in the end: %d %s", a.status, a.body)
	}
	s.primary.SetSynchronous(t, "")
}

// insertAside inserts a bid on a connection of its own. Its commit may wait.
func (s *stack) insertAside(t *testing.T, id int64) <-chan error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		ctx := context.Background()
		_, err := conn.Exec(ctx, fmt.Sprintf("INSERT INTO bids (raffle_id, id, user_id, size, price, created_at) VALUES (1, %d, 1, 260, 1, now())", id))
		done <- errors.Join(err, conn.Close(ctx))
	}()
	return done
}

func (s *stack) one(t *testing.T, sql string) (value string) {
	t.Helper()
	if err := s.sql.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
