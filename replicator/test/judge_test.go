package test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// body says what a read asks for: a list of bids, one raffle, or all raffles.
type body struct {
	list    list
	highest bool
	detail  int64
}

func (b body) raffle() int64 { return max(b.list.raffle, b.detail) }

func (b body) path() string {
	switch {
	case b.detail != 0:
		return fmt.Sprintf("/v1/raffles/%d", b.detail)
	case b.list.raffle != 0:
		order := map[bool]string{false: "newest", true: "highest"}[b.highest]
		return fmt.Sprintf("/v1/raffles/%d/bids?size=%d&order=%s&limit=%d", b.list.raffle, b.list.size, order, fullPage)
	case b.list.size != 0:
		return fmt.Sprintf("/v1/bids?size=%d&limit=%d", b.list.size, fullPage)
	}
	return "/v1/raffles?status=all"
}

// fullPage is how many bids a read asks for.
const fullPage = 2000

// answer is how a read was answered.
type answer struct {
	body         body
	forced, path string       // the wanted path, "" for any, and the one that answered
	min, at      lsn.Position // Min-LSN, zero if none was sent, and Read-LSN
	upTo         lsn.LSN      // the primary had flushed no more when the answer was there
	began, ended time.Time
	status       int
	text         []byte

	version int     // of the tables, when it was last held against them
	matched int     // how many of its parts were found right
	right   *branch // the newest that has held what was answered
	wrong   error   // what the newest has held instead
}

func (a *answer) String() string {
	return fmt.Sprintf("%s from %s (forced %q) at %s to %s, Min-LSN %s, %s to %s", a.body.path(), a.path, a.forced, a.at, a.upTo, a.min,
		a.began.Format("05.000"), a.ended.Format("05.000"))
}

// compare holds an answer against the content at its position, byte by byte.
func (a *answer) compare(now *tables) error {
	want, more := now.head(a.body)
	if a.path != "redis" && bytes.Contains(want, []byte(`"infinity"`)) {
		return nil // no path can answer such a row; Redis must not try
	}
	got := bytes.TrimSuffix(a.text, []byte("\n"))
	if want == nil {
		return errors.New("the raffle is there, but should not be")
	}
	rest, same := bytes.CutPrefix(got, want)
	switch {
	case a.body.detail != 0:
		same = same && len(rest) == 0
	case more:
		same = same && bytes.HasPrefix(rest, []byte(`"`))
	default:
		same = same && string(rest) == "null}"
	}
	if same {
		return nil
	}
	return &mismatch{got, want}
}

// stale is how long after a fork a read may still be of the line that was left, because query may need so long to
// learn of it on a slow machine. No read may be that began after that, or after query knew.
const stale = 5 * time.Second

// check holds each answer against every branch that it may be of. All must have been pulled.
func (o *oracle) check(answers []*answer) error {
	slices.SortStableFunc(answers, byPosition)
	for i := len(o.branches) - 1; i >= 0; i-- {
		o.branches[i].judge(answers)
	}
	for _, a := range answers {
		if err := o.verdict(a); err != nil {
			return err
		}
	}
	return nil
}

// exact says whether an answer shows what was held at its Read-LSN and nothing later. Redis is asked for all
// of a list at once, but again for one raffle if that has other sizes than before.
func (a *answer) exact() bool { return a.path == "redis" && a.body.detail == 0 }

// judge notes the answers that are right on this branch, unless a newer one has them already. Redis answers
// what was held at its Read-LSN exactly. An answer of SQL holds at least that: its statements come after the
// one that tells the position, so each may be of any later position until the answer is there. A primary shows
// commits in another order than the log has them in: see inPart.
func (b *branch) judge(answers []*answer) {
	now := b.base.clone()
	log := b.log
	var later []*answer // that may yet be right
	next := func() {
		log[0].apply(now)
		end := log[0].end
		log = log[1:]
		later = slices.DeleteFunc(later, func(a *answer) bool {
			return end > a.upTo || a.version != now.version(a.body) && a.advance(now, b)
		})
	}
	for _, a := range answers {
		for len(log) > 0 && log[0].end <= a.at.LSN {
			next()
		}
		if a.right != nil || !b.has(a.at) || a.ended.Before(b.begun) {
			continue
		}
		if a.at.LSN < b.from {
			a.wrong = cmp.Or(a.wrong, fmt.Errorf("older than %s", b.from))
			continue
		}
		if a.matched = 0; !a.advance(now, b) && !a.exact() {
			later = append(later, a)
		}
	}
	for len(log) > 0 && len(later) > 0 {
		next()
	}
	b.judgeInPart(answers)
}

// judgeInPart tries once more the few answers of the primary that are right in no order of the log.
func (b *branch) judgeInPart(answers []*answer) {
	answers = slices.DeleteFunc(slices.Clone(answers), func(a *answer) bool {
		return a.right != nil || a.path != "primary" || !b.has(a.at) || a.ended.Before(b.begun)
	})
	if len(answers) == 0 {
		return
	}
	now := b.base.clone()
	log := b.log
	for _, a := range answers {
		for len(log) > 0 && log[0].end <= a.at.LSN {
			log[0].apply(now)
			log = log[1:]
		}
		b.inPart(a, now, log)
	}
}

// most is how many commits that meet an answer are tried in every combination.
const most = 8

// inPart says whether an answer of the primary shows what was held at its position and some of the commits
// after it, not in the order of the log: a commit is written to the log first, and becomes visible to others
// when its backend takes it off the list of running transactions, which another may do sooner (PostgreSQL
// source, src/backend/access/transam/README, "Interlocking Transaction Begin, Transaction End, and Snapshots").
func (b *branch) inPart(a *answer, now *tables, log []commit) {
	var touching []commit
	state := now.part(a.body)
	for _, c := range log {
		if c.end > a.upTo || len(touching) == most {
			break
		}
		before := state.version(a.body)
		c.apply(state)
		if state.version(a.body) != before {
			touching = append(touching, c)
		}
	}
	for shown := range 1 << len(touching) {
		state := now.part(a.body)
		for i, c := range touching {
			if shown&(1<<i) != 0 {
				c.apply(state)
			}
		}
		a.matched = 0
		if a.advance(state, b) {
			return
		}
	}
}

// advance says whether the answer is right by now. The commands that make up the details of a raffle in Redis may be of
// positions that follow each other.
func (a *answer) advance(now *tables, b *branch) bool {
	a.version = now.version(a.body)
	err := a.compare(now)
	if a.path == "redis" && a.body.detail != 0 && err != nil {
		want, _ := now.head(a.body)
		cut := []byte(`,"bid_count":`)
		wantHead, wantTail, _ := bytes.Cut(want, cut)
		head, tail, _ := bytes.Cut(bytes.TrimSuffix(a.text, []byte("\n")), cut)
		if a.matched == 0 && bytes.Equal(head, wantHead) {
			a.matched = 1
		}
		if a.matched == 1 && bytes.Equal(tail, wantTail) {
			err = nil
		}
	}
	if err == nil {
		a.right = b
	} else if a.wrong == nil {
		a.wrong = err
	}
	return err == nil
}
