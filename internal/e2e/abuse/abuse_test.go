package abuse

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
)

// act goes on until ctx ends.
type act = func(ctx context.Context, a *abuser)

// abuse is something that a client does and that must harm no other client.
type abuse struct {
	name string
	// direct: the abuse acts on a database and not on the front door, so there is no null server for it.
	direct bool
	// beneath makes a fault of the system, before and during the abuse. The null server has no such fault.
	beneath act
	run     act
}

// abuser carries out an abuse, from addresses of its own.
type abuser struct {
	t     testing.TB
	stack *stack
	addr  string // of the front door, or of a server that does nothing
	nth   int
	token string

	work sync.WaitGroup
}

// address is the i-th address of the abuse.
func (a *abuser) address(i int) string { return fmt.Sprintf("127.0.%d.%d", 10+a.nth, i+1) }

// many starts do n times at once.
func (a *abuser) many(n int, do func(i int)) {
	for i := range n {
		a.work.Go(func() { do(i) })
	}
}

func (a *abuser) dial(ctx context.Context, i int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(a.address(i))}, Timeout: 2 * time.Second}
	c, err := d.DialContext(ctx, "tcp", a.addr)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = c.Close() }) // it may be closed already
	return c, nil
}

// memoryMore is how much the memory of a service may grow beside an abuse.
const memoryMore = 100 << 20

// Nobody hurts the others (W7): beside each abuse no bid of the steady load fails or is lost, and no service
// takes much more memory. ABUSE_TIME makes the table, in which lookups count too; the usual test leaves them
// out, because their budgets are times, and beside other tests these can't be kept. The table compares its
// times with the same abuse of a server that does nothing.
func TestAbusesStayWithTheAbuser_W7(t *testing.T) {
	c := campaign{each: 500 * time.Millisecond}
	bids, lookups := 50, 200
	if text := os.Getenv("ABUSE_TIME"); text != "" {
		var err error
		if c.each, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		c.timed, bids, lookups = true, 300, 1500
	}
	c.stack = startStack(t)
	c.load, c.null = newSteady(t, c.stack, bids, lookups), startNull(t)
	fmt.Fprintf(&c.table, "| abuse | sent | errors | p50 | p99 | p99, null server | most memory |\n|---|---|---|---|---|---|---|\n")
	wait := func() { <-time.After(max(c.each, time.Second)) }
	c.load.during(wait) // warm
	quiet := c.load.during(wait)
	if quiet.errors > 0 && c.timed {
		t.Fatalf("without any abuse the load has %d errors of %d %v: this machine is too busy", quiet.errors, quiet.sent, quiet.bad)
	}
	c.row("none", quiet, result{}, "", 0)
	for i, abuse := range abuses {
		if chosen(abuse.name, os.Getenv("ABUSE")) {
			c.try(t, i, abuse)
		}
	}
	c.stack.holdsAll(t, c.load.acked)
	if c.timed {
		fmt.Println(c.table.String())
	}
}

// chosen says whether a name contains one of the texts in a list separated by |.
func chosen(name, texts string) bool {
	for text := range strings.SplitSeq(texts, "|") {
		if strings.Contains(name, text) {
			return true
		}
	}
	return false
}

// campaign is all abuses, one after the other.
type campaign struct {
	stack *stack
	load  *steady
	null  string
	each  time.Duration
	timed bool
	table strings.Builder
}

func (c *campaign) try(t *testing.T, nth int, abuse abuse) {
	t.Helper()
	var null result
	if c.timed && !abuse.direct {
		null = c.beside(t, nth, abuse, c.null)
	}
	before := c.stack.memory(t)
	got := c.beside(t, nth, abuse, strings.TrimPrefix(c.stack.url, "http://"))
	service, grown := grownMost(before, c.stack.memory(t))
	bound := 2*null.p99 + 20*time.Millisecond
	name := abuse.name
	if got.bidErrors > 0 || c.timed && got.errors > 0 || grown > memoryMore || c.timed && !abuse.direct && got.p99 > bound {
		name += " (!)"
		t.Errorf("beside %s: %d errors of %d %v, p99 %v (bound %v), over %v %v, %d MB more in %s", abuse.name, got.errors, got.sent, got.bad, got.p99, bound, lateAfter, got.late, grown>>20, service)
	}
	c.row(name, got, null, service, grown)
}

func (c *campaign) row(name string, got, null result, service string, grown int64) {
	fmt.Fprintf(&c.table, "| %s | %d | %d | %v | %v | %v | %+d MB %s |\n", name, got.sent, got.errors, got.p50, got.p99, null.p99, grown>>20, service)
}

// beside runs an abuse of a server beside the steady load.
func (c *campaign) beside(t *testing.T, nth int, what abuse, addr string) result {
	t.Helper()
	if what.beneath != nil && addr != c.null {
		ctx, cancel := context.WithCancel(t.Context())
		ill := &abuser{t: t, stack: c.stack, nth: nth, addr: addr}
		defer ill.work.Wait()
		defer cancel()
		what.beneath(ctx, ill)
		c.load.during(func() { <-time.After(time.Second) }) // the services notice it
	}
	a := &abuser{t: t, stack: c.stack, nth: nth, addr: addr, token: c.stack.login(t, clientFrom("127.0.2.1", 1), 1000+nth)}
	return c.load.during(func() { a.during(c.each, what.run) })
}

// during acts for a time and waits until the act has ended.
func (a *abuser) during(d time.Duration, do act) {
	ctx, cancel := context.WithTimeout(a.t.Context(), d)
	defer cancel()
	do(ctx, a)
	<-ctx.Done()
	a.work.Wait()
}

// grownMost is the service that has grown most, and by how much.
func grownMost(before, after map[string]int64) (service string, most int64) {
	for name, size := range after {
		if grown := size - before[name]; service == "" || grown > most {
			service, most = name, grown
		}
	}
	return service, most
}

// holdsAll fails the test if an acknowledged bid is not in the database.
func (s *stack) holdsAll(t testing.TB, ids []int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var there int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM bids WHERE id = ANY($1)", ids).Scan(&there); err != nil {
		t.Fatal(err)
	}
	if there != len(ids) || there == 0 {
		t.Errorf("%d of %d acknowledged bids are there", there, len(ids))
	}
}

// startNull starts a server that answers everything at once, and takes what websockets send.
func startNull(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !websocket.IsWebSocketUpgrade(r) {
			return
		}
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for err == nil {
			_, _, err = conn.NextReader()
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return strings.TrimPrefix(server.URL, "http://")
}
