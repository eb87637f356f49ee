package readmodel

import "testing"

func TestPausesArePacked(t *testing.T) {
	for _, p := range []Pause{{Since: 5}, {5, "abc", ""}, {5, "", "a new Redis"}, {5, "abc", "a - b"}} {
		if got, err := ParsePause(p.String()); err != nil || got != p {
			t.Errorf("%q is %+v, %v", p, got, err)
		}
	}
	if got, err := ParsePause(Pause{Since: 5, Reason: " two\nlines "}.String()); err != nil || got.Reason != "two lines" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "5", "5 ", "x abc", "now - why"} {
		if got, err := ParsePause(bad); err == nil {
			t.Errorf("%q is %+v", bad, got)
		}
	}
}
