package test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

func (o *oracle) verdict(a *answer) error {
	if a.right == nil {
		return fmt.Errorf("wrong read: %s: %w\ncommits: %s", a, cmp.Or(a.wrong, fmt.Errorf("no branch has this position")), o.around(a))
	}
	i := slices.Index(o.branches, a.right)
	if i+1 < len(o.branches) && a.at.LSN > o.branches[i+1].forks {
		next := o.branches[i+1]
		if late := a.began.Sub(next.known); late > stale {
			return fmt.Errorf("read of a lost history %v after its end: %s", late, a)
		}
		if noticed := next.noticed.Load(); noticed != nil && a.began.After(*noticed) {
			return fmt.Errorf("read of a lost history %v after query knew the next primary: %s", a.began.Sub(*noticed), a)
		}
	}
	if !o.reaches(a.at, a.min) {
		return fmt.Errorf("read that is older than its Min-LSN: %s", a)
	}
	return nil
}

// around lists, for each branch, the commits that changed what the answer shows, with up to three events of each.
func (o *oracle) around(a *answer) string {
	var text strings.Builder
	for _, b := range o.branches {
		fmt.Fprintf(&text, "branch %d from %s, begun %s;", b.timeline, b.forks, b.begun.Format("05.000"))
		for _, c := range b.log {
			n := 0
			for _, change := range c.changes {
				for _, e := range change.events {
					if r := a.body.raffle(); (r == 0 || r == e.raffle) && (a.body.list.size == 0 || a.body.list.size == e.bid.Size) {
						if n++; n <= 3 {
							fmt.Fprintf(&text, " %s:%d/%d", c.end, e.kind, e.bid.ID)
						}
					}
				}
			}
		}
	}
	return text.String()
}

// reaches says whether data at one position hold everything up to another. Both positions came with answers.
func (o *oracle) reaches(at, want lsn.Position) bool {
	if at.Timeline == want.Timeline || at.Timeline == 0 || want.Timeline == 0 {
		return at.LSN >= want.LSN
	}
	if want.Timeline > at.Timeline {
		return false
	}
	for _, b := range o.branches {
		if b.timeline > want.Timeline && want.LSN > b.forks {
			return false
		}
	}
	return at.LSN >= want.LSN
}

// missing judges the answers that a raffle does not exist, which have no position. At some time the raffle must not
// have existed.
func (o *oracle) missing(answers []*answer) error {
	if len(answers) == 0 {
		return nil
	}
	gone := make(map[int64]bool)
	for _, b := range o.branches {
		now := b.base.clone()
		look := func() {
			for raffle := range int64(raffles) {
				_, ok := now.raffles[raffle+1]
				gone[raffle+1] = gone[raffle+1] || !ok
			}
		}
		look()
		for _, c := range b.log {
			c.apply(now)
			look()
		}
	}
	for _, a := range answers {
		if !gone[a.body.raffle()] {
			return fmt.Errorf("wrong read: %s is not there: %s", a.body.path(), a)
		}
	}
	return nil
}
