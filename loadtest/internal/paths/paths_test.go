package paths

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// service answers every path but scan. It gives a wrong answer on the standby about raffle 2, and knows no
// sizes over all raffles.
func service(t *testing.T) Config {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/raffles", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"raffles":[{"id":1},{"id":2}]}`) })
	mux.HandleFunc("GET /v1/raffles/{id}/bids", func(w http.ResponseWriter, r *http.Request) {
		path, price := r.Header.Get("Read-Path"), 7
		if path == Scan {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if path == "standby" && r.PathValue("id") == "2" {
			price = 8
		}
		w.Header().Set("Read-Path", path)
		w.Header().Set("Read-LSN", "0/1")
		w.Header().Set("Read-Lag-Ms", "3")
		fmt.Fprintf(w, `{"bids":[{"price":%d}],"next_cursor":%q}`, price, path)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return Config{URL: s.URL, Addr: s.Listener.Addr().String(), Paths: []string{"redis", "standby", Scan}, Rate: 200, SizeRate: 10,
		Blocks: 2, Block: 50 * time.Millisecond, Warm: 12, Cold: 5, Scans: 1, Size: 270, Notes: t.Output()}
}

// R5: a body that differs fails the comparison; the cursor, which holds a position, may differ.
func TestDifferentBodiesAreCaught_R5(t *testing.T) {
	c := service(t)
	run, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p := run.Paths[0]
	if p.Compared != 12 || p.Different == 0 || p.Different == 12 || !strings.Contains(p.Sample, "/v1/raffles/2/") || run.Verdict.Passed() {
		t.Errorf("%d of %d differ, %q, %+v", p.Different, p.Compared, p.Sample, run.Verdict)
	}
	c.Paths = []string{"redis", "primary"}
	run, err = Run(t.Context(), c)
	if err != nil || run.Paths[0].Different != 0 || !run.Verdict.Passed() {
		t.Errorf("%v, %+v, %+v", err, run.Paths, run.Verdict)
	}
}

func TestWhatIsNotOfferedIsLeftOutAndSaid(t *testing.T) {
	run, err := Run(t.Context(), service(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Paths) != 1 {
		t.Fatalf("%d comparisons", len(run.Paths))
	}
	var kinds []string
	for _, p := range run.Paths[0].Paths {
		kinds = append(kinds, p.Path+" "+p.Cache)
		if p.OK != map[string]int64{"warm": 20, "cold": 5}[p.Cache] || p.Failed > 0 || p.Lag != 3*time.Millisecond {
			t.Errorf("%+v", p)
		}
	}
	if want := []string{"redis warm", "redis cold", "standby warm", "standby cold"}; !slices.Equal(kinds, want) {
		t.Errorf("%q", kinds)
	}
	left := 0
	for _, f := range run.Config {
		if strings.HasPrefix(f.Name, "left out: ") {
			left++
		}
	}
	if left != 4 { // scan of a raffle's bids, and three paths of a size over all raffles
		t.Errorf("%d left out: %+v", left, run.Config)
	}
}

// Every path reads the same warm keys in the same order, and no cold key twice.
func TestKeysAreSharedWhenWarmAndApartWhenCold(t *testing.T) {
	c := service(t)
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
	if a, b := r.sequence(l.warm, 0), r.sequence(l.warm, 0); !slices.Equal(a, b) || slices.Equal(a, r.sequence(l.warm, 1)) {
		t.Error("the order of keys is not that of the block")
	}
}
