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

// answer is a read and its answer.
type answer struct {
	body         body
	forced, path string       // the wanted path ("": any), and the path that answered
	min, at      lsn.Position // Min-LSN (zero: none was sent), and Read-LSN
	upTo         lsn.LSN      // a position up to which the answer may hold anything (sampler.upTo)
	began, ended time.Time
	status       int
	text         []byte

	version int     // version of the tables with which it was last compared
	matched int     // how many of its parts are known to be right
	right   *branch // the newest branch that held what was answered
	wrong   error   // what the newest branch held instead
}

func (a *answer) String() string {
	return fmt.Sprintf("%s from %s (forced %q) at %s to %s, Min-LSN %s, %s to %s", a.body.path(), a.path, a.forced, a.at, a.upTo, a.min,
		a.began.Format("05.000"), a.ended.Format("05.000"))
}

// compare compares an answer, byte by byte, with the content of the tables at a position.
func (a *answer) compare(now *tables) error {
	want, more := now.head(a.body)
	if a.path != "redis" && bytes.Contains(want, []byte(`"infinity"`)) {
		return nil // no path can answer such a row, and Redis must not try
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

// stale is how long after a fork a read may still show the line that was left, because query may need so long to learn
// of the fork on a slow machine. A read that began later, or after query knew, may not.
const stale = 5 * time.Second

// check compares each answer with every branch that it may be of. All branches must have been pulled.
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

// exact says whether an answer shows what was held at its Read-LSN and nothing later. Redis is read at one moment for a
// list. For one raffle it may be read twice, if the raffle has other sizes than before.
func (a *answer) exact() bool { return a.path == "redis" && a.body.detail == 0 }

// judge notes the answers that are right on this branch, unless a newer branch has them already. An answer of Redis
// holds exactly what was held at its Read-LSN. An answer of SQL holds at least that: its statements run after the one
// that read the position, so each may show any later position until the answer is complete. A primary may show commits
// in another order than the log (see inPart).
func (b *branch) judge(answers []*answer) {
	now := b.base.clone()
	log := b.log
	var later []*answer // answers that a later position may prove right
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

// judgeInPart tries again the few answers of the primary that are right in no order of the log.
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

// most is how many commits that concern an answer are tried in every combination.
const most = 8

// inPart says whether an answer of the primary shows what was held at its position and some of the commits after it, in
// another order than that of the log. A commit is first written to the log. It becomes visible to others when its
// backend removes it from the list of running transactions, and a backend with a later commit may do so sooner
// (PostgreSQL source, src/backend/access/transam/README, "Interlocking Transaction Begin, Transaction End, and
// Snapshots").
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

// advance says whether the answer is right by now. In Redis, the commands that read the details of a raffle may be of
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
