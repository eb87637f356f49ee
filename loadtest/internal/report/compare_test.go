package report

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func compareText(t *testing.T, a, b *Run) (string, bool) {
	t.Helper()
	c, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	return out.String(), c.Worse()
}

// Runs that differ by chance alone are not told apart: 20 pairs, 8 measures each.
func TestNoiseIsNotAChange(t *testing.T) {
	for seed := range uint64(20) {
		out, worse := compareText(t, madeUp(60, 5*time.Millisecond, 2, 2*seed), madeUp(60, 5*time.Millisecond, 2, 2*seed+1))
		if worse || strings.Contains(out, "better") {
			t.Errorf("seed %d: %s", seed, out)
		}
	}
}

func TestChangesBeyondNoise(t *testing.T) {
	base := madeUp(60, 5*time.Millisecond, 0, 1)
	for name, c := range map[string]struct {
		after *Run
		worse bool
		want  string
	}{
		"slower": {madeUp(60, 6*time.Millisecond, 0, 2), true, "WORSE"},
		"faster": {madeUp(60, 4*time.Millisecond, 0, 2), false, "better"},
		"errors": {madeUp(60, 5*time.Millisecond, 3, 2), true, "points  WORSE"},
	} {
		if out, worse := compareText(t, base, c.after); worse != c.worse || !strings.Contains(out, c.want) {
			t.Errorf("%s: %s", name, out)
		}
	}
	fewer := madeUp(60, 5*time.Millisecond, 0, 2)
	for i := range fewer.Steps[0].Seconds {
		fewer.Steps[0].Seconds[i].OK -= 20
	}
	if out, worse := compareText(t, base, fewer); !worse || !strings.Contains(out, "req/s") {
		t.Errorf("a lower rate: %s", out)
	}
}

func TestOneLostBidIsWorse(t *testing.T) {
	a, b := madeUp(30, time.Millisecond, 0, 1), madeUp(30, time.Millisecond, 0, 2)
	a.Reconciliations = []Reconciliation{{Store: "Postgres", Acknowledged: 9, Stored: 9}}
	b.Reconciliations = []Reconciliation{{Store: "Postgres", Acknowledged: 9, Stored: 8, Lost: 1, LostKeys: []string{"load-7"}}}
	if out, worse := compareText(t, a, b); !worse || !strings.Contains(out, "worse: Postgres: 1 lost: load-7") {
		t.Error(out)
	}
}

func TestCompareTellsWhatElseDiffers(t *testing.T) {
	a, b := madeUp(30, time.Millisecond, 0, 1), madeUp(30, time.Millisecond, 0, 2)
	b.Seed, b.Config = 8, []Field{{"virtual users", "60"}, {"rate", "9/s"}}
	b.Steps[1].Name = "GET raffle"
	out, worse := compareText(t, a, b)
	for _, want := range []string{"differs: seed: 7, then 8", "differs: virtual users: 50, then 60", "differs: rate: –, then 9/s",
		`worse: step "GET bids" is missing`, `differs: step "GET raffle" is new`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	if !worse {
		t.Error("a missing step is nothing")
	}
}

func TestIncomparable(t *testing.T) {
	base := madeUp(30, time.Millisecond, 0, 1)
	other, invalid, short, strange := *base, *base, madeUp(5, time.Millisecond, 0, 1), *base
	other.Level = "1"
	invalid.Verdict.Invalid = []string{"an agent was lost"}
	strange.Steps = []Step{{Name: "x"}}
	for want, b := range map[string]*Run{"level": &other, "an agent was lost": &invalid, "too few": short, "no step": &strange} {
		if _, err := Compare(base, b); !errors.Is(err, ErrIncomparable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Only seconds under full load count: users come in the first 5 and go in the last 3.
func TestSteadyPart(t *testing.T) {
	r := madeUp(30, time.Millisecond, 0, 1)
	for i := range r.Samples {
		switch {
		case i < 5:
			r.Samples[i].ActiveUsers = 10 * i
		case i >= 27:
			r.Samples[i].ActiveUsers = 5
		}
	}
	got := r.steady(r.Steps[0])
	if len(got) != 21 || got[0].At != 5 || got[20].At != 25 {
		t.Errorf("%d seconds from %d to %d", len(got), got[0].At, got[len(got)-1].At)
	}
}
