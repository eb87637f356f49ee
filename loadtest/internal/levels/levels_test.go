package levels

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/cluster"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// system answers what a level asks beside its load, and bids as the test says.
type system struct {
	*httptest.Server
	mu     sync.Mutex
	logins int
	keys   map[string]int // how often each idempotency key came
	bid    func(w http.ResponseWriter, times int)
}

func startSystem(t *testing.T, bid func(w http.ResponseWriter, times int)) *system {
	t.Helper()
	s := &system{keys: make(map[string]int), bid: bid}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[{"kid":"now"}]}`) })
	mux.HandleFunc("GET /v1/raffles", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"raffles":[{"id":5},{"id":6}]}`)
	})
	mux.HandleFunc("POST /v1/login", s.login)
	mux.HandleFunc("POST /v1/raffles/{id}/bids", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		key := r.Header.Get("Idempotency-Key")
		s.keys[key]++
		var sent struct{ Size, Price, Quantity int }
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		s.bid(&answered{ResponseWriter: w, body: fmt.Sprintf(`{"id":77,"raffle_id":%s,"user_id":4,"size":%d,"price":%d,"quantity":%d,"created_at":"2026-01-02T03:04:05.000006Z"}`,
			r.PathValue("id"), sent.Size, sent.Price, sent.Quantity), raffle: r.PathValue("id")}, s.keys[key])
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// login knows user1 to user9 only, and refuses every third login as too many at once.
func (s *system) login(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins++
	switch {
	case err != nil || len(body) != len(`{"login":"user1","password":"pyramid"}`):
		w.WriteHeader(http.StatusUnauthorized)
	case s.logins%3 == 0:
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		_, _ = fmt.Fprintf(w, `{"access_token":%q}`, token("now", time.Now().Add(time.Hour)))
	}
}

func token(kid string, expires time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"EdDSA","kid":"`+kid+`"}`)) + "." + encode(fmt.Appendf(nil, `{"sub":"4","exp":%d}`, expires.Unix())) + ".c2ln"
}

// answered is the response to a bid, with the body of a 201.
type answered struct {
	http.ResponseWriter
	raffle, body string
}

func answer(w http.ResponseWriter, status int) {
	a := w.(*answered)
	w.Header().Set("Location", "/v1/raffles/"+a.raffle+"/bids/77")
	w.WriteHeader(status)
	if status == http.StatusCreated {
		_, _ = io.WriteString(w, a.body)
	}
}

// place runs level 4 with 4 users and 5 bids each, and returns what the journal says.
func place(t *testing.T, s *system, patience time.Duration) (*report.Run, *reconcile.Ledger) {
	t.Helper()
	plan, err := json.Marshal(Plan{Level: "4", URL: s.URL, VUsers: 4, Iterations: 5, Logins: 2, Patience: patience, MaxDuration: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := Runner{Dir: t.TempDir(), Notes: t.Output()}
	o, err := r.Run(t.Context(), cluster.Job{ID: "id", Plan: plan, Share: cluster.Share{Agent: 2, Users: 4}}, func(report.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := reconcile.Load(o.Files[FileJournal])
	if err != nil {
		t.Fatal(err)
	}
	return o.Run, ledger
}

// W2: a bid whose outcome is open is sent again with the same key; the journal has one entry for it.
func TestABidIsRepeatedWithItsKey_W2(t *testing.T) {
	s := startSystem(t, func(w http.ResponseWriter, times int) {
		if times < 3 {
			answer(w, http.StatusServiceUnavailable)
			return
		}
		answer(w, http.StatusCreated)
	})
	run, ledger := place(t, s, time.Minute)
	if len(s.keys) != 20 || ledger.Acknowledged() != 20 || s.keys["load-id-2-0"] != 3 {
		t.Errorf("%d keys, %d acknowledged: %v", len(s.keys), ledger.Acknowledged(), s.keys)
	}
	if wish, attempts := run.Step("bid"), run.Step("bid, attempts"); wish.OK != 20 || wish.Failed != 0 || attempts.OK != 20 || attempts.Failed != 40 {
		t.Errorf("%d good and %d bad bids by %d good and %d bad attempts", wish.OK, wish.Failed, attempts.OK, attempts.Failed)
	}
	// Two refusals are followed by pauses of at least 100 and 200 ms.
	if low := run.Step("bid").Total.Summary().Min; low < 300*time.Millisecond {
		t.Errorf("a bid that was accepted at the third attempt took %v", low)
	}
}

func TestARefusalIsFinalAndPatienceEnds(t *testing.T) {
	for status, patience := range map[int]time.Duration{http.StatusConflict: time.Minute, http.StatusUnprocessableEntity: time.Minute, http.StatusServiceUnavailable: 0} {
		s := startSystem(t, func(w http.ResponseWriter, _ int) { answer(w, status) })
		run, ledger := place(t, s, patience)
		total := 0
		for _, n := range s.keys {
			total += n
		}
		if bid := run.Step("bid"); ledger.Acknowledged() != 0 || total != 20 || bid.OK != 0 || bid.Failed != 20 || bid.Failures.Count() != 20 {
			t.Errorf("status %d: %d acknowledged, sent %d times, want 20: %+v", status, ledger.Acknowledged(), total, bid)
		}
	}
}

func TestTokensAreCachedUntilTheyAreOfNoUse(t *testing.T) {
	s := startSystem(t, nil)
	door := client.New(s.URL)
	t.Cleanup(door.Close)
	file := filepath.Join(t.TempDir(), "below", "tokens.json")
	cached, err := openTokens(door, file)
	if err != nil {
		t.Fatal(err)
	}
	cached.known = map[string]string{"user1": token("now", time.Now().Add(time.Hour)), "user2": token("old", time.Now().Add(time.Hour)),
		"user3": token("now", time.Now()), "user4": "nonsense"}
	if err := cached.prune(t.Context(), time.Now().Add(time.Minute)); err != nil || len(cached.known) != 1 {
		t.Fatalf("%v left, %v", cached.known, err)
	}
	logins := []string{"user1", "user2", "user1", "user3", "user2"}
	accounts, err := cached.obtain(t.Context(), logins, func(int64, int64) {})
	if err != nil || len(accounts) != 5 || s.logins != 2 || accounts[1] != accounts[4] || accounts[0].id != 4 {
		t.Errorf("%d accounts after %d logins, %v", len(accounts), s.logins, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	again, err := openTokens(door, file)
	if err != nil || len(again.known) != 3 {
		t.Errorf("%v, %v", again.known, err)
	}
	if _, err := again.obtain(t.Context(), []string{"nobody-of-ours"}, func(int64, int64) {}); err == nil {
		t.Error("an unknown user was logged in")
	}
}

func TestPlansAreChecked(t *testing.T) {
	good := Plan{Level: "1", URL: "https://example.org/", VUsers: 1, Duration: time.Second, MaxDuration: time.Minute}
	if addr, tls, err := good.Address(); good.Check() != nil || addr != "example.org:443" || !tls || err != nil {
		t.Errorf("%v, %s, %v", good.Check(), addr, tls)
	}
	for want, change := range map[string]func(*Plan){
		"closes its raffle": func(p *Plan) { p.Level, p.Iterations = "7", 1 },
		"needs --mix":       func(p *Plan) { p.Level = "mix" },
		"no level":          func(p *Plan) { p.Level = "8" },
		"is not http":       func(p *Plan) { p.URL = "ftp://a" },
		"http://host:port":  func(p *Plan) { p.URL = "http://a/b" },
		"virtual user":      func(p *Plan) { p.VUsers = 0 },
		"duration":          func(p *Plan) { p.Duration = 0 },
		"can be negative":   func(p *Plan) { p.Think = -1 },
		"be positive":       func(p *Plan) { p.MaxDuration = 0 },
		"ends it after 1m":  func(p *Plan) { p.Duration = time.Minute },
	} {
		p := good
		change(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Seconds in which nothing was asked for say nothing of the system.
func TestALoadWithoutGoodAnswersIsEnded(t *testing.T) {
	for _, c := range []struct {
		told  report.Progress
		ended bool
	}{
		{report.Progress{ActiveUsers: 1}, true},
		{report.Progress{ActiveUsers: 1, Pause: true}, false},
		{report.Progress{ActiveUsers: 1, Last: report.Second{OK: 1}}, false},
		{report.Progress{}, false},
	} {
		ctx, end := context.WithCancelCause(t.Context())
		tell := watchful(nil, end)
		for range hopeless {
			if ctx.Err() != nil {
				t.Errorf("%+v: ended too soon", c.told)
			}
			tell(c.told)
		}
		if ended := errors.Is(context.Cause(ctx), errEnded); ended != c.ended {
			t.Errorf("%+v: ended %v", c.told, ended)
		}
	}
}

func TestTheGeneratorWarnsOfItself(t *testing.T) {
	for _, c := range []struct {
		used         time.Duration
		procs, cores int
		warns        bool
	}{{7 * time.Second, 1, 2, false}, {8 * time.Second, 1, 4, true}, {9 * time.Second, 2, 2, false}, {11 * time.Second, 2, 2, true}} {
		if w := generatorWarning(c.used, 10*time.Second, c.procs, c.cores); (w != "") != c.warns {
			t.Errorf("%+v: %q", c, w)
		}
	}
}

// A writing level does not begin without the database that its bids are compared with, unless the request says NoReconcile.
func TestALevelThatIsNotReconciledFails_W1(t *testing.T) {
	s := startSystem(t, func(w http.ResponseWriter, _ int) { answer(w, http.StatusCreated) })
	q := Request{Plan: Plan{Level: "4", URL: s.URL, VUsers: 2, Iterations: 2, Logins: 2, Client: engine.ClientNet, MaxDuration: time.Minute},
		Dir: t.TempDir(), Notes: t.Output(), Progress: func(report.Progress) {}}
	if run, err := Execute(t.Context(), q); run != nil || err == nil || !strings.Contains(err.Error(), "--no-reconcile") || s.logins > 0 {
		t.Errorf("%+v, %v, %d logins", run, err, s.logins)
	}
	q.NoReconcile = true
	run, err := Execute(t.Context(), q)
	if err != nil || !run.Verdict.Passed() {
		t.Errorf("%+v, %v", run, err)
	}
	if left, err := filepath.Glob(filepath.Join(q.Dir, "journal-*")); err != nil || len(left) > 0 {
		t.Errorf("a journal that nobody compares is left: %q, %v", left, err)
	}
}

// A bid that waits to be sent again when the run ends gets its attempt.
func TestABidThatWaitsAtTheEndIsSentAgain(t *testing.T) {
	s := startSystem(t, func(w http.ResponseWriter, times int) {
		answer(w, map[bool]int{true: http.StatusServiceUnavailable, false: http.StatusCreated}[times == 1])
	})
	plan, err := json.Marshal(Plan{Level: "4", URL: s.URL, VUsers: 2, Duration: 10 * time.Millisecond, Logins: 2, Patience: time.Minute, MaxDuration: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := Runner{Dir: t.TempDir(), Notes: t.Output()}
	o, err := r.Run(t.Context(), cluster.Job{ID: "id", Plan: plan, Share: cluster.Share{Users: 2}}, func(report.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	if bid := o.Run.Step("bid"); bid.OK != 2 || bid.Failed != 0 {
		t.Errorf("%d good and %d bad bids", bid.OK, bid.Failed)
	}
}

// Level 3 counts an answer only if the path that it is named after gave it.
func TestListsComeFromTheirPaths(t *testing.T) {
	s := startSystem(t, nil)
	q := Request{Plan: Plan{Level: "3", URL: s.URL, VUsers: 2, Iterations: 2, MaxDuration: time.Minute}, Dir: t.TempDir(), Notes: t.Output()}
	run, err := Execute(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if step := run.Step("raffles from redis"); step.OK != 0 || step.Failed != 2 || run.Verdict.Passed() {
		t.Errorf("%+v, %+v", step, run.Verdict)
	}
}
