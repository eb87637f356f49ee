package api

import (
	"errors"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

func FuzzParseCursor(f *testing.F) {
	f.Add("")
	f.Add(strings.Repeat("A", 54))
	f.Add(strings.Repeat("A", 59))
	f.Add(string(cursor{kind: 'n', raffle: 1, size: 270, after: bidbook.Keyset{At: 5, ID: 6}, first: lsn.Position{Timeline: 3, LSN: 7}}.append(nil)))
	f.Add(string(cursor{kind: 'h', raffle: 1, size: 270, after: bidbook.Keyset{At: 5, ID: 6, Price: 8}, first: lsn.Position{Timeline: 3, LSN: 7}}.append(nil)))
	f.Add(string(cursor{kind: 'o', after: bidbook.Keyset{At: 5, ID: 6}, first: lsn.Position{Timeline: 3, LSN: 7}}.append(nil)))
	f.Add(string(cursor{kind: 'o', after: bidbook.Keyset{At: 5, ID: 6}, filter: 9}.append(nil)))
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCursor(s)
		if err != nil {
			if !errors.Is(err, errBadCursor) {
				t.Fatalf("error %v is not errBadCursor", err)
			}
			return
		}
		if len(s) == cursorText.EncodedLen(oldLen) { // version 1 is only read
			if c.first.Timeline != 0 {
				t.Fatalf("%q has timeline %d", s, c.first.Timeline)
			}
			return
		}
		if again := string(c.append(nil)); again != s {
			t.Fatalf("%q parsed to %+v, which is %q", s, c, again)
		}
	})
}

func TestCursorLengths(t *testing.T) {
	good := string(cursor{kind: 'n', raffle: 1, size: 270, after: bidbook.Keyset{At: 5, ID: 6}}.append(nil))
	if _, err := parseCursor(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{good[:len(good)-1], good + "A", good + "=", good[:4] + "\n" + good[4:], good[:4] + "\n" + good[5:], good + good} {
		if c, err := parseCursor(bad); err == nil {
			t.Errorf("%q parsed to %+v", bad, c)
		}
	}
}

// A filter has a hash of its own, whatever its values hold, and none has none.
func TestFiltersAreToldApart(t *testing.T) {
	seen := map[uint64]bool{}
	lists := [][]string{{"", ""}, {"a", ""}, {"", "a"}, {"ab", ""}, {"a", "b"}, {"", "ab"}, {"a\x00b", ""}, {"a", "", "b"}}
	for _, values := range lists {
		seen[filterOf(values...)] = true
	}
	if len(seen) != len(lists) || !seen[0] || filterOf() != 0 {
		t.Errorf("%d hashes for %d filters", len(seen), len(lists))
	}
	plain := cursor{kind: 'o', after: bidbook.Keyset{At: 5, ID: 6}}
	filtered := plain
	filtered.filter = filterOf("a")
	if back, err := parseCursor(string(filtered.append(nil))); err != nil || back != filtered || back.continues(plain) || plain.continues(back) {
		t.Errorf("%+v, %v", back, err)
	}
}
