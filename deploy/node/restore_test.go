package main

import (
	"strings"
	"testing"
	"time"
)

func TestTheMomentOfARestore(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for args, want := range map[string]string{
		"--latest":                           "restore",
		"--to 2026-01-31T12:30:00.5+01:00":   "restore --type=time --target=2026-01-31 11:30:00.500000+00 --target-action=promote",
		"--lsn 0/16B3748 --timeline 2":       "restore --type=lsn --target=0/16B3748 --target-action=promote --target-timeline=2",
		"--latest --set a --from /elsewhere": "restore --set=a --repo1-path=/elsewhere",
	} {
		target, err := parseTarget(strings.Fields(args), now)
		if got := strings.Join(target.options(), " "); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", args, got, err, want)
		}
	}
	for _, args := range []string{"", "--latest --lsn 0/1", "--to 2026-01-31T11:00:00", "--to 2026-01-31T12:00:01Z", "--latest now"} {
		if _, err := parseTarget(strings.Fields(args), now); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
