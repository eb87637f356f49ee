package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
)

const (
	hotRate  = 500 // bids per second
	hotUsers = 128
	// hotBound ends the bids of a turn if its reads do not end.
	hotBound = time.Minute
	// watchEvery is the time between the reads of the one client whose answers are looked at.
	watchEvery = 100 * time.Millisecond
)

// hot is a raffle, or one size of it, that everybody bids for and reads.
type hot struct {
	raffle int64
	size   int16 // 0: all
}

// crowd bids in one side while others read, and watches what they read. A nil crowd does nothing.
type crowd struct {
	*reads
	hot
	path                string
	stored              int64            // bids before the first turn
	tries               map[string]int64 // of paths before the first turn
	accepted, failed    int64            // bids
	took                time.Duration
	seen, moved, wrong  int // answers: all, with a later position than the last one, with another status than 200
	lastWrong, refusals string
}

// gather returns the crowd of a read.
func (s side) gather(b *testing.B) *crowd {
	b.Helper()
	if s.read.hot == nil {
		return nil
	}
	c := &crowd{reads: s.reads, hot: *s.read.hot, path: s.read.paths[0]}
	c.stored, c.tries = c.countStored(b), c.countTries(b)
	return c
}

// while has the crowd bid and watch until the reads have ended.
func (c *crowd) while(b *testing.B, read func()) {
	b.Helper()
	if c == nil {
		read()
		return
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	bids, watched := make(chan outcome, 1), make(chan struct{})
	go func() {
		report, err := c.bid(ctx, engine.Config{VUsers: hotUsers, Duration: hotBound, Rate: hotRate}, c.aim)
		bids <- outcome{report, err}
	}()
	go func() {
		defer close(watched)
		c.watch(ctx)
	}()
	read()
	stop()
	<-watched
	o := <-bids
	if o.err != nil {
		b.Fatalf("the bids of %s: %v", c.name, o.err)
	}
	step := o.report.Step("bid")
	c.accepted, c.failed, c.took = c.accepted+step.OK, c.failed+step.Failed, c.took+o.report.Elapsed
	if step.Failed > 0 {
		c.refusals = fmt.Sprint(o.report.Errors)
	}
}

// aim makes a bid one for the raffle and the size.
func (c *crowd) aim(u *engine.User) {
	u.Request.SetRequestURI(rafflePath(c.raffle) + "/bids")
	if c.size > 0 {
		setBid(u, int64(c.size))
	}
}

// watch reads until the context ends.
func (c *crowd) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var last lsn.LSN
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.seen++
		at, err := c.look()
		if err != nil {
			c.wrong, c.lastWrong = c.wrong+1, err.Error()
			continue
		}
		if at > last {
			c.moved++
		}
		last = at
	}
}

// look returns the position of an answer, which must be a 200.
func (c *crowd) look() (lsn.LSN, error) {
	status, header, body, err := get("http://" + c.queryAddr + c.path)
	if err != nil {
		return 0, err
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("status %d: %s", status, body)
	}
	at, err := lsn.ParsePosition(header.Get("Read-LSN"))
	return at.LSN, err
}

// countStored counts the bids of the raffle in the primary.
func (c *crowd) countStored(b *testing.B) int64 {
	b.Helper()
	return query(b, c.primary, fmt.Sprintf("SELECT count(*) FROM bids WHERE raffle_id = %d", c.raffle), pgx.RowTo[int64])[0]
}

var pathTries = regexp.MustCompile(`(?m)^query_path_duration_seconds_count\{path="([a-z]+)",result="([a-z]+)"\} ([0-9.e+]+)$`)

// countTries counts the reads that query has tried to answer, by path and result, without the answers of Redis.
func (c *crowd) countTries(b *testing.B) map[string]int64 {
	b.Helper()
	tries := make(map[string]int64)
	for _, m := range pathTries.FindAllStringSubmatch(metrics(b, "http://"+c.queryAdmin), -1) {
		n, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			b.Fatal(err)
		}
		tries[m[1]+" "+m[2]] = int64(n)
	}
	delete(tries, "redis answered")
	return tries
}

// newTries are those since the first turn, and how many of them SQL got.
func (c *crowd) newTries(b *testing.B) (tries map[string]int64, sql int64) {
	b.Helper()
	tries = c.countTries(b)
	for how := range tries {
		if tries[how] -= c.tries[how]; tries[how] == 0 {
			delete(tries, how)
		} else if !strings.HasPrefix(how, "redis ") {
			sql += tries[how]
		}
	}
	return tries, sql
}

// judge prints what came of the bids and of the watched reads. It fails the benchmark if a bid was refused or lost, or if reads
// of the working tree were refused, stood still, or were not all left to Redis. The reads of the base are only printed.
func (c *crowd) judge(b *testing.B) {
	b.Helper()
	if c == nil {
		return
	}
	tries, sql := c.newTries(b)
	stored := c.countStored(b)
	if c.build == tree {
		testenv.Eventually(b, 10*time.Second, "the raffle's detail counts every stored bid", func() bool { return c.bidCount(b) == stored })
	}
	fmt.Printf("read   %-25s %7.0f bids/s in %s: %d accepted, %d stored; of %d answers %d moved on, %d were wrong; what Redis did not answer: %v\n", "",
		float64(c.accepted)/c.took.Seconds(), c.name, c.accepted, stored-c.stored, c.seen, c.moved, c.wrong, tries)
	if c.failed > 0 {
		b.Errorf("%s: %d bids failed: %s", c.name, c.failed, c.refusals)
	} else if stored-c.stored != c.accepted {
		b.Errorf("%s: %d bids were accepted and %d are stored", c.name, c.accepted, stored-c.stored)
	}
	if c.build != tree {
		return
	}
	if c.wrong > 0 || 2*c.moved < c.seen {
		b.Errorf("of %d answers %d were wrong (%s) and %d had a later position than the one before", c.seen, c.wrong, c.lastWrong, c.moved)
	}
	if sql > 0 {
		b.Errorf("%d reads of a hot raffle went to SQL", sql)
	}
}

// bidCount is the number of bids that the raffle's detail tells.
func (c *crowd) bidCount(b *testing.B) int64 {
	b.Helper()
	_, _, body, err := get("http://" + c.queryAddr + rafflePath(c.raffle))
	if err != nil {
		b.Fatal(err)
	}
	var detail struct {
		BidCount int64 `json:"bid_count"`
	}
	if err := json.Unmarshal(body, &detail); err != nil {
		b.Fatalf("%s: %v", body, err)
	}
	return detail.BidCount
}
