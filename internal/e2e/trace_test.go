package e2e

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// A client's trace of its own, sampled.
const (
	clientTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan   = "00f067aa0ba902b7"
	clientParent = "00-" + clientTrace + "-" + clientSpan + "-01"
)

// tracedStack is a stack whose services send their traces to an endpoint.
func tracedStack(t testing.TB, endpoint string, settings ...string) *stack {
	t.Helper()
	s := newStack(t)
	s.settings = append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_BSP_SCHEDULE_DELAY=100", "TRACE_CLIENTS=true"}, settings...)
	s.startServices(t)
	return s
}

// One trace leads from the request of a bid to the write to Redis: the request, its wait in the queue, the batch, the
// transaction, and the flush of the replicator, which is linked to the transaction by its position. With -v the test prints it.
func TestATraceLeadsFromTheBidToRedis(t *testing.T) {
	t.Parallel()
	c := testenv.StartCollector(t)
	s := tracedStack(t, c.URL)
	bid := s.must(t, 201, "POST", s.bidsURL(openRaffle), map[string]int{"size": 270, "price": 1000}, "Authorization", s.login(t, "user1"),
		"Traceparent", clientParent, "X-Request-Id", "bid-1")
	position := bid.header.Get("Commit-LSN")
	found := awaitSpans(t, c, clientTrace, "POST /v1/raffles/{raffle_id}/bids", "bid queue", "bid batch", "transaction", "apply")
	reading := s.lookUp(t, position)
	read := awaitSpans(t, c, reading, "GET /v1/raffles/{raffle_id}/bids", "read redis", "lookup")
	t.Logf("the trace of the bid, and that of the lookup that waits for it:\n%s\n%s", c.Tree(clientTrace), c.Tree(reading))

	post, batch, transaction, apply := found[0], found[2], found[3], found[4]
	for child, parent := range map[string]string{post.Parent: clientSpan, found[1].Parent: post.ID, batch.Parent: post.ID,
		transaction.Parent: batch.ID, apply.Parent: transaction.ID, read[1].Parent: read[0].ID, read[2].Parent: read[1].ID} {
		if child != parent {
			t.Errorf("a span is below %s instead of %s", child, parent)
		}
	}
	if !linked(post, batch.ID) || !linked(batch, post.ID) || !linked(apply, transaction.ID) {
		t.Fatal("request and batch, or transaction and flush, are not linked")
	}
	if post.Attributes["stock_pyramid.lsn"] != position || post.Attributes["stock_pyramid.request_id"] != "bid-1" || post.Attributes["http.response.status_code"] != "201" {
		t.Errorf("the request's attributes are %v", post.Attributes)
	}
	committed, written := transaction.Attributes["stock_pyramid.lsn"], apply.Links[0].Attributes["stock_pyramid.lsn"]
	if committed != position || !reaches(t, position, written) {
		t.Errorf("the transaction is at %s and the flush's link at %s, and the answer said %s", committed, written, position)
	}
	if apply.Service != "replicator" || apply.End < transaction.Begin || transaction.Service != "command" {
		t.Errorf("the flush is of %s", apply.Service)
	}
	if read[1].Attributes["stock_pyramid.read_path"] != "redis" {
		t.Errorf("the read's attributes are %v", read[1].Attributes)
	}
	if !strings.Contains(s.command.Output()+s.query.Output(), `"service":`) {
		t.Error("no log")
	}
}

// lookUp reads a position until Redis answers, because on a busy machine another path may be faster. It returns the trace of
// that read, which no other read has.
func (s *stack) lookUp(t testing.TB, position string) (trace string) {
	t.Helper()
	n := 0
	testenv.EventuallyNoError(t, patience, "Redis answers", func() error {
		n++
		trace = fmt.Sprintf("%032x", n)
		got, err := s.do("GET", s.lookupURL(openRaffle, "size=270"), nil, "Min-LSN", position, "Traceparent", "00-"+trace+"-"+clientSpan+"-01")
		if path := got.header.Get("Read-Path"); err == nil && (got.status != 200 || path != "redis") {
			err = fmt.Errorf("%d by %q", got.status, path)
		}
		return err
	})
	return trace
}

// reaches says whether the position of an answer is at or past the end of the commit.
func reaches(t testing.TB, position, end string) bool {
	t.Helper()
	at, err := positionLSN(position)
	if err != nil {
		t.Fatal(err)
	}
	of, err := positionLSN(end)
	if err != nil {
		t.Fatalf("the link's position: %v", err)
	}
	return at >= of
}

func linked(s testenv.Span, to string) bool {
	for _, l := range s.Links {
		if l.ID == to && l.Trace == s.Trace {
			return true
		}
	}
	return false
}

func awaitSpans(t testing.TB, c *testenv.Collector, trace string, names ...string) []testenv.Span {
	t.Helper()
	found := make([]testenv.Span, len(names))
	testenv.EventuallyNoError(t, patience, "all spans have come", func() error {
		for i, name := range names {
			var ok bool
			if found[i], ok = c.Find(trace, name); !ok {
				return fmt.Errorf("%s is missing:\n%s", name, c.Tree(trace))
			}
		}
		return nil
	})
	return found
}

// Cancellations, closes by an admin and reads by SQL have traces, too. They begin here, because clients are not trusted.
func TestCancellationsClosesAndReadsHaveTraces(t *testing.T) {
	t.Parallel()
	c := testenv.StartCollector(t)
	s := tracedStack(t, c.URL, "TRACE_CLIENTS=")
	user := s.login(t, "user1")
	bid := s.must(t, 201, "POST", s.bidsURL(openRaffle), map[string]int{"size": 270, "price": 1000}, "Authorization", user)
	s.must(t, 204, "DELETE", s.commandURL+bid.header.Get("Location"), nil, "Authorization", user, "Traceparent", clientParent)
	s.must(t, 200, "POST", fmt.Sprintf("%s/v1/raffles/%d/close", s.commandURL, openRaffle), nil, "Authorization", s.login(t, "admin"))
	s.must(t, 200, "GET", s.queryURL+"/v1/me/bids", nil, "Authorization", user)
	for name, below := range map[string][]string{
		"DELETE /v1/raffles/{raffle_id}/bids/{bid_id}": {"transaction", "apply"},
		"POST /v1/raffles/{raffle_id}/close":           {"transaction", "apply"},
		"GET /v1/me/bids":                              {"read replica", "lookup"},
	} {
		root := awaitSpans(t, c, "", name)[0]
		spans := awaitSpans(t, c, root.Trace, below...)
		if root.Parent != "" || spans[0].Parent != root.ID || spans[1].Parent != spans[0].ID {
			t.Errorf("%s:\n%s", name, c.Tree(root.Trace))
		}
	}
	if login := awaitSpans(t, c, "", "POST /v1/login")[0]; strings.Contains(c.Tree(login.Trace), "apply") {
		t.Errorf("the replicator is told of a login, which it does not copy:\n%s", c.Tree(login.Trace))
	}
}

// A request that is not sampled leaves neither a span nor a message in the WAL.
func TestWithoutSamplingNothingIsTold(t *testing.T) {
	t.Parallel()
	c := testenv.StartCollector(t)
	s := tracedStack(t, c.URL, "OTEL_TRACES_SAMPLER=parentbased_always_off")
	user := s.login(t, "user1")
	s.primary.Exec(t, "SELECT pg_create_logical_replication_slot('spy', 'pgoutput')")
	for range 20 {
		s.must(t, 201, "POST", s.bidsURL(openRaffle), map[string]int{"size": 270, "price": 1000}, "Authorization", user)
	}
	s.must(t, 201, "POST", s.bidsURL(openRaffle), map[string]int{"size": 270, "price": 1000}, "Authorization", user, "Traceparent", clientParent)
	awaitSpans(t, c, clientTrace, "apply")
	conn, err := pgx.Connect(t.Context(), s.primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	var told int
	err = conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_logical_slot_get_binary_changes('spy', NULL, NULL, 'proto_version', '1',
		'publication_names', 'pyramid', 'messages', 'true') WHERE position('pyramid.trace'::bytea IN data) > 0`).Scan(&told)
	if err = errors.Join(err, conn.Close(t.Context())); err != nil || told != 1 {
		t.Errorf("%v: %d transactions tell a span, of 21 of which one is sampled", err, told)
	}
	s.primary.Exec(t, "SELECT pg_drop_replication_slot('spy')")
	if code := s.command.Stop(t); code != 0 {
		t.Errorf("command ended with %d", code)
	}
	for _, span := range c.Spans() {
		if span.Trace != clientTrace {
			t.Errorf("a span that nobody sampled: %s of %s", span.Name, span.Service)
		}
	}
}

// What waits to be sent when a service is told to end is sent before it ends.
func TestTheLastSpansAreSent(t *testing.T) {
	t.Parallel()
	c := testenv.StartCollector(t)
	s := tracedStack(t, c.URL, "OTEL_BSP_SCHEDULE_DELAY=3600000")
	bid := s.must(t, 201, "POST", s.bidsURL(openRaffle), map[string]int{"size": 270, "price": 1000}, "Authorization", s.login(t, "user1"), "Traceparent", clientParent)
	reading := s.lookUp(t, bid.header.Get("Commit-LSN"))
	if n := len(c.Spans()); n > 0 {
		t.Fatalf("%d spans were sent an hour early", n)
	}
	for _, p := range []*testenv.Program{s.command, s.query, s.replicator} {
		if code := p.Stop(t); code != 0 {
			t.Errorf("a service ended with %d", code)
		}
	}
	for name, trace := range map[string]string{"POST /v1/raffles/{raffle_id}/bids": clientTrace, "GET /v1/raffles/{raffle_id}/bids": reading, "apply": clientTrace} {
		if _, ok := c.Find(trace, name); !ok {
			t.Errorf("%s was not sent:\n%s", name, c.Tree(trace))
		}
	}
}

// Some collectors refuse connections, others accept them and never answer. Neither kind costs a bid. The services still end
// within ten seconds of SIGTERM.
func TestADeadCollectorCostsNoBid(t *testing.T) {
	t.Parallel()
	for name, endpoint := range map[string]string{"refuses": fmt.Sprintf("http://127.0.0.1:%d", testenv.FreePort(t)), "is silent": silent(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tracedStack(t, endpoint, "OTEL_BSP_MAX_QUEUE_SIZE=64", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=16")
			user := s.login(t, "user1")
			var last string
			for range 200 { // more spans than the queue holds
				last = s.must(t, 201, "POST", s.bidsURL(openRaffle), map[string]int{"size": 270, "price": 1000}, "Authorization", user).header.Get("Commit-LSN")
			}
			s.must(t, 200, "GET", s.lookupURL(openRaffle, "size=270&limit=200"), nil, "Min-LSN", last)
			for _, p := range []*testenv.Program{s.command, s.query, s.replicator} {
				began := time.Now()
				p.Signal(t, syscall.SIGTERM)
				if code := p.Wait(t); code != 0 || time.Since(began) > 10*time.Second {
					t.Errorf("a service ended with %d after %s", code, time.Since(began))
				}
			}
		})
	}
}

// silent accepts connections and never answers.
func silent(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}
