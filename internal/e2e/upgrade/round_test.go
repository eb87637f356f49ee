package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const (
	openRaffle = 901 // the demo data's first open raffle
	bids       = 120 // of a round
	writers    = 8
	users      = 4
	// patience is for a path to reach a position.
	patience = 20 * time.Second
)

var (
	sizes = []int{265, 270, 275}
	paths = []string{"redis", "replica", "standby", "primary"}
)

// load is what the rounds have written so far.
type load struct {
	*stack
	tokens []string

	mu            sync.Mutex
	serial        int
	placed, gone  map[int64]bool // bids that were placed; those of them that were cancelled
	position      string         // of the last commit
	first, second *side          // of the next round
}

func (s *stack) newLoad(t *testing.T) *load {
	t.Helper()
	l := &load{stack: s, placed: map[int64]bool{}, gone: map[int64]bool{}, first: s.old, second: s.new}
	for i := range users {
		l.tokens = append(l.tokens, s.login(t, []*side{s.old, s.new}[i%2], fmt.Sprintf("user%d", i+1)))
	}
	return l
}

// write places bids, each at one side and then with its key at the other, and cancels some in the same way.
func (l *load) write(t *testing.T) (placed, gone map[int64]bool) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(writers)
	for range bids {
		l.serial++
		n := l.serial
		group.Go(func() error { return l.bid(ctx, n) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return l.placed, l.gone
}

func (l *load) bid(ctx context.Context, n int) error {
	at, then, token := l.first, l.second, l.tokens[n%users]
	if n%2 == 0 {
		at, then = then, at
	}
	target := fmt.Sprintf("/v1/raffles/%d/bids", openRaffle)
	body := map[string]int{"size": sizes[n%len(sizes)], "price": 100_000 + n, "quantity": 1 + n%3}
	header := []string{"Authorization", token, "Idempotency-Key", fmt.Sprintf("upgrade-%d", n)}
	a, err := l.want(ctx, http.StatusCreated, "POST", at.commandURL+target, body, header...)
	if err != nil {
		return err
	}
	again, err := l.want(ctx, http.StatusCreated, "POST", then.commandURL+target, body, header...)
	if err != nil {
		return err
	}
	if !bytes.Equal(a.body, again.body) || again.header.Get("Idempotency-Replayed") != "true" || a.header.Get("Location") != again.header.Get("Location") {
		return fmt.Errorf("%s answers %s, and %s %s to the same key", at.name, a.body, then.name, again.body)
	}
	var bid struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(a.body, &bid); err != nil {
		return err
	}
	if n%5 == 0 {
		for _, on := range []*side{then, at} {
			if again, err = l.want(ctx, http.StatusNoContent, "DELETE", fmt.Sprintf("%s%s/%d", on.commandURL, target, bid.ID), nil, "Authorization", token); err != nil {
				return err
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.placed[bid.ID] {
		return fmt.Errorf("the id %d was given twice", bid.ID)
	}
	l.placed[bid.ID] = true
	if n%5 == 0 {
		l.gone[bid.ID] = true
	}
	l.position = again.header.Get("Commit-LSN")
	return nil
}

// compare reads the same from both sides on every path.
func (l *load) compare(t *testing.T) {
	t.Helper()
	a, err := l.want(t.Context(), http.StatusCreated, "POST", fmt.Sprintf("%s/v1/raffles/%d/bids", l.first.commandURL, openRaffle),
		map[string]int{"size": sizes[0], "price": 1}, "Authorization", l.tokens[0])
	if err != nil {
		t.Fatal(err)
	}
	position := a.header.Get("Commit-LSN") // beyond every commit of the round
	token := []string{"Authorization", l.tokens[0]}
	l.sameEverywhere(t, position, fmt.Sprintf("/v1/raffles/%d", openRaffle), paths)
	l.sameEverywhere(t, position, "/v1/raffles?status=open&limit=200", paths)
	l.sameEverywhere(t, position, "/v1/bids?size=270&limit=100", paths)
	l.sameEverywhere(t, position, "/v1/me/bids?limit=100", paths[1:], token...)
	for _, size := range sizes {
		for _, order := range []string{"newest", "highest"} {
			target := fmt.Sprintf("/v1/raffles/%d/bids?size=%d&order=%s", openRaffle, size, order)
			want := l.sameEverywhere(t, position, target+"&limit=2000", paths)
			l.pages(t, position, target+"&limit=17", ids(t, want))
			for _, id := range ids(t, want) {
				if l.gone[id] {
					t.Errorf("%s shows the cancelled bid %d", target, id)
				}
			}
		}
	}
}

// sameEverywhere returns the body of a read, which must be the same on every path of both sides but for its cursor.
func (l *load) sameEverywhere(t *testing.T, position, target string, paths []string, header ...string) (first []byte) {
	t.Helper()
	for _, path := range paths {
		for _, on := range []*side{l.old, l.new} {
			body := withoutCursor(t, l.read(t, on, position, target, append(header, "Read-Path", path)...).body)
			if first == nil {
				first = body
			}
			if !bytes.Equal(body, first) {
				t.Errorf("%s: %s answers on %s\n%.2000s\nnot\n%.2000s", target, on.name, path, body, first)
			}
		}
	}
	return first
}

// read asks until a path has reached the position.
func (l *load) read(t *testing.T, on *side, position, target string, header ...string) (a answer) {
	t.Helper()
	testenv.EventuallyNoError(t, patience, on.name+" answers", func() (err error) {
		a, err = l.want(t.Context(), http.StatusOK, "GET", on.queryURL+target, nil, append(header, "Min-LSN", position)...)
		return err
	})
	return a
}

// pages follows the cursors of one side at the other.
func (l *load) pages(t *testing.T, position, target string, want []int64) {
	t.Helper()
	var got []int64
	on, other := l.old, l.new
	for cursor := ""; ; on, other = other, on {
		a := l.read(t, on, position, target+cursor)
		var page struct {
			Next *string `json:"next_cursor"`
		}
		if err := json.Unmarshal(a.body, &page); err != nil {
			t.Fatal(err)
		}
		got = append(got, ids(t, a.body)...)
		if page.Next == nil {
			break
		}
		cursor = "&cursor=" + *page.Next
	}
	if len(want) < 2000 && len(got) != len(want) || !slices.Equal(got[:min(len(got), len(want))], want) {
		t.Errorf("%s: the pages of both sides show %v, not %v", target, got, want)
	}
}

func ids(t *testing.T, body []byte) (list []int64) {
	t.Helper()
	var page struct {
		Bids []struct {
			ID int64 `json:"id"`
		} `json:"bids"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		t.Fatal(err)
	}
	for _, b := range page.Bids {
		list = append(list, b.ID)
	}
	return list
}

// standing is what the last release does not say of a user's bids yet.
var standing = regexp.MustCompile(`,"standing":"[a-z]+"`)

func withoutCursor(t *testing.T, body []byte) []byte {
	t.Helper()
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	delete(doc, "next_cursor")
	if bids, is := doc["bids"]; is {
		doc["bids"] = standing.ReplaceAll(bids, nil)
	}
	body, err := json.Marshal(doc) // sorted by name; the values keep their bytes
	if err != nil {
		t.Fatal(err)
	}
	return body
}
