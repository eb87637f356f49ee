package paths

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// fake is a service that answers every path but scan.
type fake struct {
	wrong string // the path that answers wrongly about raffle 2
	fails string // the path on which each fifth request of a load fails
	sizes bool   // it knows sizes over all raffles
	seen  atomic.Int64
}

func (f *fake) bids(w http.ResponseWriter, r *http.Request) {
	path, price := r.Header.Get("Read-Path"), 7
	if path == f.wrong && r.PathValue("id") == "2" {
		price = 8
	}
	loaded := path == f.fails && r.Header.Get("Min-LSN") == "" && r.PathValue("id") != ""
	switch {
	case path == Scan, r.PathValue("id") == "" && !f.sizes:
		w.WriteHeader(http.StatusBadRequest)
		return
	case loaded && f.seen.Add(1)%5 == 0:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Read-Path", path)
	w.Header().Set("Read-LSN", "0/1")
	w.Header().Set("Read-Lag-Ms", "3")
	fmt.Fprintf(w, `{"bids":[{"price":%d}],"next_cursor":%q}`, price, path)
}

func (f *fake) start(t *testing.T, paths ...string) Config {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/raffles", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"raffles":[{"id":1},{"id":2}]}`) })
	mux.HandleFunc("GET /v1/raffles/{id}/bids", f.bids)
	mux.HandleFunc("GET /v1/bids", f.bids)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return Config{URL: s.URL, Addr: s.Listener.Addr().String(), Paths: paths, Rate: 200, SizeRate: 10,
		Blocks: 2, Block: 50 * time.Millisecond, Warm: 12, Cold: 5, Scans: 1, Size: 270, Notes: t.Output()}
}

// missed are the conditions that a run did not hold.
func missed(run *report.Run) (out []string) {
	for _, c := range run.Verdict.Conditions {
		if !c.OK {
			out = append(out, c.Name+": "+c.Got)
		}
	}
	return out
}

// R5: a body that differs fails the comparison; the cursor, which holds a position, may differ.
func TestDifferentBodiesAreCaught_R5(t *testing.T) {
	f := &fake{wrong: "standby", sizes: true}
	run, err := Run(t.Context(), f.start(t, "redis", "standby"))
	if err != nil {
		t.Fatal(err)
	}
	p := run.Paths[0]
	if p.Compared != 12 || p.Different == 0 || p.Different == 12 || !strings.Contains(p.Sample, "/v1/raffles/2/") {
		t.Errorf("%d of %d differ, %q", p.Different, p.Compared, p.Sample)
	}
	if got, want := missed(run), fmt.Sprintf("bodies that differ: %s: %d of 12", p.Name, p.Different); !slices.Equal(got, []string{want}) || run.Verdict.Passed() {
		t.Errorf("missed %q, want %q", got, want)
	}
}

// A path that is asked for and does not answer fails the run, and so does a single request that fails.
func TestEveryPathIsJudged(t *testing.T) {
	const raffle, size = ": newest 50 bids of a size of a raffle: failed requests: ", ": newest 2,000 bids of size 270 over all raffles: failed requests: "
	for _, c := range []struct {
		fake  *fake
		paths string
		want  []string
	}{
		{&fake{sizes: true}, "redis primary", nil},
		{&fake{sizes: true}, "redis primary scan", []string{"scan, warm" + raffle + "left out: status 400 ", "scan, warm" + size + "left out: status 400 "}},
		{&fake{}, "redis", []string{"redis, warm" + size + "left out: status 400 "}},
		{&fake{sizes: true, fails: "standby"}, "redis standby", []string{"standby, warm" + raffle + "4 of 20", "standby, cold" + raffle + "1 of 5"}},
	} {
		run, err := Run(t.Context(), c.fake.start(t, strings.Fields(c.paths)...))
		if err != nil {
			t.Fatal(err)
		}
		if got := missed(run); !slices.Equal(got, c.want) || run.Verdict.Passed() != (c.want == nil) {
			t.Errorf("%s: missed %q, want %q", c.paths, got, c.want)
		}
	}
}

// The run's time and seconds are those of the blocks: neither bodies that are compared nor connections that are opened are
// in them.
func TestMeasuredTimeIsThatOfTheBlocks(t *testing.T) {
	run, err := Run(t.Context(), (&fake{}).start(t, "redis", "standby"))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	requests := int64(0)
	for i, p := range run.Paths[0].Paths {
		kinds = append(kinds, p.Path+" "+p.Cache)
		inBlocks, inSeconds := int64(0), int64(0)
		for _, b := range p.Blocks {
			inBlocks += b.Count()
		}
		for _, s := range run.Steps[i].Seconds {
			inSeconds += s.OK
		}
		if want := map[string]int64{"warm": 20, "cold": 5}[p.Cache]; p.OK != want || len(p.Blocks) != 2 || inBlocks != want || inSeconds != want || p.Lag != 3*time.Millisecond {
			t.Errorf("%d in blocks, %d in seconds, %+v", inBlocks, inSeconds, p)
		}
		requests += p.OK
	}
	if want := []string{"redis warm", "redis cold", "standby warm", "standby cold"}; !slices.Equal(kinds, want) {
		t.Errorf("%q", kinds)
	}
	// 200 requests a second, and as much again for a machine that is late.
	if least := time.Duration(requests) * time.Second / 200; run.Elapsed < least || run.Elapsed > least+time.Second || run.NGrinder().PeakTPS == 0 {
		t.Errorf("%v for %d requests, peak TPS %g", run.Elapsed, requests, run.NGrinder().PeakTPS)
	}
}

// Every path reads the same warm keys in the same order, and no cold key twice.
func TestKeysAreSharedWhenWarmAndApartWhenCold(t *testing.T) {
	c := (&fake{}).start(t, "redis", "standby", Scan)
	keys := make([]key, 22)
	for i := range keys {
		keys[i] = key{raffle: int64(i)}
	}
	l := c.ofRaffle(keys)
	seen := slices.Clone(l.warm)
	for _, p := range c.Paths {
		for _, k := range l.cold[p] {
			if slices.Contains(seen, k) {
				t.Errorf("%v of %s was read before", k, p)
			}
			seen = append(seen, k)
		}
	}
	if len(l.cold["redis"]) != 5 || len(l.cold["standby"]) != 5 || len(l.cold[Scan]) != 0 {
		t.Errorf("%v", l.cold)
	}
	r := runner{Config: c}
	if a, b := r.sequence(l, 0), r.sequence(l, 0); !slices.Equal(a, b) || slices.Equal(a, r.sequence(l, 1)) || len(a) != 10 {
		t.Error("the order of keys is not that of the block")
	}
}
