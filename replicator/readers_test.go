package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// look is one read: of a list of bids, or of all raffles if raffle is 0.
type look struct {
	path    string
	raffle  int64
	size    int16
	highest bool
}

// answer is what a look was answered from Redis, and its Read-LSN.
type answer struct {
	look look
	at   lsn.LSN
	body []byte
}

// fullPage is how many bids a read asks for.
const fullPage = 2000

// compare holds an answer against the content at its position: same bids in the same order, no more.
func (a answer) compare(now tables) error {
	var page struct {
		Bids    []bidDocument    `json:"bids"`
		Raffles []raffleDocument `json:"raffles"`
		Next    *string          `json:"next_cursor"`
	}
	if err := json.Unmarshal(a.body, &page); err != nil {
		return err
	}
	if a.look.raffle == 0 {
		return sameRaffles(page.Raffles, now)
	}
	var want []bidDocument
	for _, b := range now.bids {
		if b.RaffleID == a.look.raffle && b.Size == a.look.size {
			want = append(want, b)
		}
	}
	slices.SortFunc(want, a.look.order)
	more := len(want) > fullPage
	want = want[:min(len(want), fullPage)]
	if (page.Next != nil) != more {
		return fmt.Errorf("says that there are more: %v, want %v", !more, more)
	}
	if !slices.Equal(page.Bids, want) {
		return fmt.Errorf("%d bids, want %d: %v, want %v", len(page.Bids), len(want), page.Bids, want)
	}
	return nil
}

func (l look) order(a, b bidDocument) int {
	later := cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(b.ID, a.ID))
	if l.highest {
		return cmp.Or(cmp.Compare(b.Price, a.Price), -later)
	}
	return later
}

func sameRaffles(got []raffleDocument, now tables) error {
	for _, r := range got {
		want, ok := now.raffles[r.ID]
		if !ok || r.EndsAt != want.EndsAt || (r.ClosedAt == nil) != (want.ClosedAt == nil) || (r.ClosedAt != nil && *r.ClosedAt != *want.ClosedAt) {
			return fmt.Errorf("raffle %+v, want %+v", r, want)
		}
	}
	if len(got) != len(now.raffles) {
		return fmt.Errorf("%d raffles, want %d", len(got), len(now.raffles))
	}
	return nil
}

// readers read through the query service, from Redis only, and keep every answer.
type readers struct {
	url  string
	stop func()

	mu      sync.Mutex
	answers []answer
	refused int // reads that Redis can't answer, which another path would have
}

// readEvery is the pause of each reader between two reads.
const readEvery = 8 * time.Millisecond

// startReaders starts a query service and n readers before it.
func (s *system) startReaders(n int) *readers {
	s.t.Helper()
	public, admin := testenv.FreePort(s.t), testenv.FreePort(s.t)
	env := []string{fmt.Sprintf("LISTEN_ADDR=127.0.0.1:%d", public), fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", admin),
		"REDIS_URL=" + s.server.URL(), "ALLOW_READ_PATH=true", "LOG_LEVEL=error"}
	for _, name := range []string{"PRIMARY_URL=", "REPLICA_URL=", "STANDBY_URL="} {
		env = append(env, name+s.dbs.URL("query"))
	}
	testenv.StartProcess(s.t, testenv.Process{Path: testenv.Binary(s.t, "./query"), Env: env,
		Ready: fmt.Sprintf("http://127.0.0.1:%d/readyz", admin)})
	r := &readers{url: fmt.Sprintf("http://127.0.0.1:%d", public)}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	t := s.t // a history has its own
	for i := range n {
		done.Go(func() { r.run(ctx, t, rand.New(rand.NewPCG(uint64(i), 1))) })
	}
	r.stop = func() { cancel(); done.Wait() }
	s.t.Cleanup(r.stop)
	return r
}

func (r *readers) run(ctx context.Context, t testing.TB, random *rand.Rand) {
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l := look{path: "/v1/raffles?status=all"}
		if random.IntN(10) > 0 {
			l = look{raffle: 1 + random.Int64N(raffles), size: sizes[random.IntN(len(sizes))], highest: random.IntN(2) == 0}
			order := map[bool]string{false: "newest", true: "highest"}[l.highest]
			l.path = fmt.Sprintf("/v1/raffles/%d/bids?size=%d&order=%s&limit=%d", l.raffle, l.size, order, fullPage)
		}
		if err := r.read(ctx, l); err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
	}
}

func (r *readers) read(ctx context.Context, l look) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+l.path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Read-Path", "redis")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch response.StatusCode {
	case http.StatusOK:
		at, err := lsn.Parse(response.Header.Get("Read-LSN"))
		r.answers = append(r.answers, answer{l, at, body})
		return err
	case http.StatusServiceUnavailable:
		r.refused++
		return nil
	}
	return fmt.Errorf("%s: %s %s", l.path, response.Status, body)
}

// take returns what has been answered and forgets it.
func (r *readers) take() (answers []answer, refused int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answers, refused = r.answers, r.refused
	r.answers, r.refused = nil, 0
	return answers, refused
}
