package test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// judgeLive compares each raffle's stream with the oracle. A stream must have every event since the epoch began, once
// and in the order of the commits, as far as its length reaches. If a rebuild has replaced the epoch meanwhile, nothing
// is left to check, because its streams are being removed.
func (w *worker) judgeLive() {
	w.t.Helper()
	for {
		c := w.reached()
		wrong := w.compareLive(c.Epoch)
		if now, err := w.checkpoint(); err != nil || now.Epoch != c.Epoch {
			continue
		}
		if wrong != "" {
			w.t.Fatal(wrong)
		}
		return
	}
}

// compareLive returns what is wrong with the streams of an epoch.
func (w *worker) compareLive(e readmodel.Epoch) string {
	w.t.Helper()
	b := w.oracle.present()
	from := max(b.from, w.began(e))
	for raffle := range int64(raffles) {
		got := w.live(e, raffle+1, from)
		want := b.events(raffle+1, from)
		if !continued(got, want, len(got) >= readmodel.LiveEntries) {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			return fmt.Sprintf("raffle %d since %s: %d events, want %d; the first %d are right, then %+v, want %+v", raffle+1, from,
				len(got), len(want), at, got[at:min(at+2, len(got))], want[at:min(at+2, len(want))])
		}
	}
	return ""
}

// continued says whether a stream has the wanted events. It may only have a gap at a reset, which tells a subscriber to
// read again because a part was reloaded or a row has no packing. The beginning of a trimmed stream may be missing.
func continued(got, want []happened, trimmed bool) bool {
	var runs [][]happened
	for begin := 0; begin <= len(got); {
		end := begin
		for end < len(got) && got[end].kind != readmodel.EventReset {
			end++
		}
		runs = append(runs, got[begin:end])
		begin = end + 1
	}
	rest := want
	for i := len(runs) - 1; i >= 0; i-- {
		at := len(rest) - len(runs[i])
		for i < len(runs)-1 && at > 0 && !slices.Equal(rest[at:at+len(runs[i])], runs[i]) {
			at-- // skip an event that the stream does not have
		}
		if at < 0 || !slices.Equal(rest[at:at+len(runs[i])], runs[i]) {
			return false
		}
		rest = rest[:at]
	}
	return trimmed || len(rest) == 0 || len(runs[0]) == 0 && len(runs) > 1
}

func TestStreamsHaveGapsOnlyAtResets(t *testing.T) {
	t.Parallel()
	event := func(id int64) happened { return happened{kind: readmodel.EventBid, bid: bidDocument{ID: id}} }
	events := func(ids ...int64) (all []happened) {
		for _, id := range ids {
			e := event(id)
			if id == 0 {
				e = happened{kind: readmodel.EventReset}
			}
			all = append(all, e)
		}
		return all
	}
	want := events(1, 2, 3, 4, 5)
	for _, c := range []struct {
		got            []happened
		right, trimmed bool
	}{
		{events(1, 2, 3, 4, 5), true, false}, {events(1, 2, 4, 5), false, false}, {events(2, 3, 4, 5), false, false},
		{events(2, 3, 4, 5), true, true}, {events(1, 2, 3, 4), false, true}, {events(1, 2, 0, 4, 5), true, false},
		{events(1, 2, 3, 4, 5, 0), true, false}, {events(1, 2, 0), true, false}, {events(0, 4, 5), true, false},
		{events(1, 3, 0, 4, 5), false, false}, {events(1, 0, 3, 0, 5), true, false}, {events(1, 2, 3, 4, 5, 5), false, false},
	} {
		if continued(c.got, want, c.trimmed) != c.right {
			t.Errorf("%+v, trimmed: %v, is right: %v", c.got, c.trimmed, !c.right)
		}
	}
}

// live reads a stream. It checks that the ids rise and count the events of each transaction. An id has the position
// where the commit record begins, which is before the end of the transaction.
func (w *worker) live(e readmodel.Epoch, raffle int64, from lsn.LSN) (events []happened) {
	w.t.Helper()
	entries, err := w.redis.XRange(w.ctx, e.Live(raffle), "-", "+").Result()
	w.must(err)
	var last readmodel.EventID
	for _, entry := range entries {
		id, err := readmodel.ParseEventID(entry.ID)
		w.must(err)
		packed, _ := entry.Values[readmodel.LiveField].(string)
		parsed, err := readmodel.ParseEvents(raffle, id, []byte(packed))
		w.must(err)
		for _, event := range parsed {
			if !event.ID.After(last) || event.ID.N > 1 && last != (readmodel.EventID{LSN: event.ID.LSN, N: event.ID.N - 1}) && last.LSN != 0 {
				w.t.Fatalf("raffle %d: event %s follows %s", raffle, event.ID, last)
			}
			last = event.ID
			if event.ID.LSN >= from {
				events = append(events, happening(raffle, event))
			}
		}
	}
	return events
}

func happening(raffle int64, e readmodel.Event) happened {
	if e.Kind == readmodel.EventReset {
		return happened{raffle: raffle, kind: e.Kind}
	}
	if e.Kind == readmodel.EventClose {
		return happened{raffle: raffle, kind: e.Kind, closedAt: document(time.UnixMicro(e.ClosedAt)), price: int64(e.ClosingPrice)}
	}
	return happened{raffle: raffle, kind: e.Kind, bid: bidDocument{ID: e.Bid.ID, RaffleID: raffle, UserID: e.Bid.UserID, Size: e.Bid.Size,
		Price: int64(e.Bid.Price), Quantity: int64(e.Bid.Quantity), CreatedAt: document(time.UnixMicro(e.Bid.CreatedAt))}}
}

// began returns the position at which an epoch began, from the log of its builder.
func (w *worker) began(e readmodel.Epoch) (at lsn.LSN) {
	w.t.Helper()
	line := regexp.MustCompile(fmt.Sprintf(`"epoch":%d,"rows":\d+,"lsn":"([^"]+)"`, e))
	var built []string
	// The log line may come after the checkpoint.
	testenv.Eventually(w.t, patience, fmt.Sprintf("somebody says that he has built epoch %d", e), func() bool {
		built = nil
		for _, r := range w.replicators {
			for _, m := range line.FindAllStringSubmatch(r.Output(), -1) {
				built = append(built, m[1])
			}
		}
		return len(built) > 0
	})
	if len(built) > 1 {
		w.t.Fatalf("epoch %d was built %d times", e, len(built))
	}
	at, err := lsn.Parse(built[0])
	w.must(err)
	return at
}

// P2: after a restart a transaction that was applied in part is sent again, without the one that shared its first
// batch. Still the stream has each of its events once.
func TestEventsOfATransactionThatIsSentAgainAreNotRepeated_P2(t *testing.T) {
	t.Parallel()
	w := newWorker(t, 1)
	w.reached()
	large, err := w.other.Begin(w.ctx)
	w.must(err)
	_, err = large.Exec(w.ctx, insertBids, 40_000)
	w.must(err)
	w.server.Pause(t)
	w.bids(10) // the write of these does not end
	w.bids(10) // these wait, and the large transaction begins in the same batch
	w.must(large.Commit(w.ctx))
	committed := w.lsn()
	testenv.Eventually(t, patience, "it is on its way", func() bool {
		return w.count(`SELECT count(*) FROM pg_stat_replication r JOIN pg_stat_activity a USING (pid)
			WHERE a.datname = current_database() AND r.application_name = 'replicator' AND sent_lsn >= $1::pg_lsn`, committed.String()) == 1
	})
	w.server.Resume(t)
	testenv.Eventually(t, patience, "a part is applied", func() bool { c, err := w.checkpoint(); return err == nil && c.Applying })
	w.Kill(t)
	if c, err := w.checkpoint(); err != nil || !c.Applying {
		t.Fatalf("not killed within the transaction: %s, %v", c, err)
	}
	w.Start(t)
	w.equal()
	w.judge()
	w.judgeLive()
}
