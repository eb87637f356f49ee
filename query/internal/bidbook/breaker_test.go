package bidbook

import (
	"testing"
	"time"
)

// R6: the breaker's states, with time as an argument.
func TestBreaker_R6(t *testing.T) {
	type step struct {
		at    time.Duration
		do    string // allow, deny, or how a use ended: worked, failed, unknown
		trial bool
	}
	for name, steps := range map[string][]step{
		"stays closed below the limit": {
			{0, "failed", false}, {0, "failed", false}, {0, "worked", false}, {0, "failed", false}, {0, "allow", false},
			{0, "worked", false}, {0, "worked", false}, {0, "worked", false}, {0, "failed", false}, {0, "allow", false},
		},
		"opens if two of three fail": {
			{0, "failed", false}, {0, "worked", false}, {0, "failed", false}, {0, "failed", false}, {0, "worked", false}, {0, "failed", false}, {0, "deny", false},
		},
		"opens and spares": {
			{0, "failed", false}, {0, "failed", false}, {0, "failed", false}, {0, "deny", false}, {shortBreak - 1, "deny", false},
		},
		"one trial at a time": {
			{0, "failed", false}, {0, "failed", false}, {0, "failed", false}, {shortBreak, "allow", true}, {shortBreak, "deny", false},
			{shortBreak, "worked", true}, {shortBreak, "allow", false}, {shortBreak, "allow", false},
		},
		"a failed trial doubles the break": {
			{0, "failed", false}, {0, "failed", false}, {0, "failed", false}, {shortBreak, "allow", true}, {shortBreak, "failed", true},
			{3*shortBreak - 1, "deny", false}, {3 * shortBreak, "allow", true},
		},
		"a trial without a verdict frees its place": {
			{0, "failed", false}, {0, "failed", false}, {0, "failed", false}, {shortBreak, "allow", true}, {shortBreak, "unknown", true}, {shortBreak, "allow", true},
		},
		"late ends do not free the trial's place": {
			{0, "failed", false}, {0, "failed", false}, {0, "failed", false}, {shortBreak, "allow", true}, {shortBreak, "failed", false}, {shortBreak, "deny", false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b breaker
			for i, s := range steps {
				now := time.Unix(0, 0).Add(s.at)
				switch s.do {
				case "allow", "deny":
					if ok, trial := b.allow(now); ok != (s.do == "allow") || trial != s.trial {
						t.Fatalf("step %d: allow is %v, trial %v", i, ok, trial)
					}
				default:
					b.done(now, map[string]outcome{"worked": worked, "failed": failed, "unknown": unknown}[s.do], s.trial)
				}
			}
		})
	}
}

func TestABreakerHasALimitOfItsOwn(t *testing.T) {
	b, now := breaker{limit: redisBreak}, time.Now()
	for range failuresToOpen {
		b.done(now, failed, false)
	}
	for range 5 {
		now = now.Add(redisBreak)
		if ok, trial := b.allow(now); !ok || !trial {
			t.Fatal("no trial after the limit")
		}
		b.done(now, failed, true)
	}
	if b.done(now, worked, false); b.open() || b.limit != redisBreak {
		t.Errorf("%+v after it worked", b)
	}
}

func TestBreakerBreaksAreBounded(t *testing.T) {
	var b breaker
	now := time.Unix(0, 0)
	for range failuresToOpen {
		b.done(now, failed, false)
	}
	for range 20 {
		now = now.Add(longBreak)
		if ok, _ := b.allow(now); !ok {
			t.Fatal("no trial after the longest break")
		}
		b.done(now, failed, true)
	}
}
