package redisinfo

import "testing"

func TestEvictionsAreComparedWithinARunOfTheServer_R1(t *testing.T) {
	for _, c := range []struct {
		before, now string
		want        bool
	}{
		{"", "a:0", false}, {"", "a:3", true}, {"a:3", "a:3", false}, {"a:3", "a:4", true}, {"a:3", "b:0", false}, {"a:3", "b:3", true},
	} {
		if got := EvictedSince(c.before, c.now); got != c.want {
			t.Errorf("%q then %q: %v", c.before, c.now, got)
		}
	}
}
