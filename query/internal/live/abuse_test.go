package live

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// dial opens a websocket and returns the status of the server's answer.
func (f *feed) dial(t testing.TB, header http.Header) (conn *websocket.Conn, status int) {
	t.Helper()
	url := "ws" + strings.TrimPrefix(f.url, "http") + "/socket.io/?EIO=4&transport=websocket"
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), url, header)
	if response == nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() }) // the server may have closed it
	}
	return conn, response.StatusCode
}

// socket opens a session over a websocket and enters the namespace.
func (f *feed) socket(t testing.TB) *websocket.Conn {
	t.Helper()
	conn, status := f.dial(t, nil)
	if status != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", status)
	}
	expectSocket(t, conn, `0{"sid":`)
	sendSocket(t, conn, "40"+Namespace+",")
	expectSocket(t, conn, "40"+Namespace+",")
	return conn
}

func sendSocket(t testing.TB, conn *websocket.Conn, packet string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
		t.Fatal(err)
	}
}

func expectSocket(t testing.TB, conn *websocket.Conn, prefix string) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.ReadMessage(); err != nil || !strings.HasPrefix(string(got), prefix) {
		t.Fatalf("got %q %v, want %s", got, err, prefix)
	}
}

// flood sends a packet until the server closes the connection, and counts how many left.
func flood(t testing.TB, conn *websocket.Conn, packet string, count *atomic.Int64) {
	t.Helper()
	message, err := websocket.NewPreparedMessage(websocket.TextMessage, []byte(packet))
	if err != nil {
		t.Error(err)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		t.Error(err)
	}
	for conn.WritePreparedMessage(message) == nil {
		if count.Add(1) == 100_000 {
			t.Error("the server takes everything")
			return
		}
	}
}

// W7: while one join of a session is being answered, further joins wait in the connection and not in memory.
func TestAFloodOfJoinsStaysInTheConnection_W7(t *testing.T) {
	f := startFeed(t)
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	f.sockets.check = func(ctx context.Context, _ int64) string {
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-answer:
		case <-ctx.Done():
		}
		return "there is no such raffle"
	}
	conn := f.socket(t)
	before := heap()
	packet := `42/raffles,["join",{"raffle_id":8,"` + strings.Repeat("x", 3900) + `":1}]`
	sendSocket(t, conn, `42/raffles,["join",{"raffle_id":8}]`)
	<-asked
	var count atomic.Int64
	var flooding sync.WaitGroup
	flooding.Go(func() { flood(t, conn, packet, &count) })
	last, since := int64(0), time.Now()
	testenv.Eventually(t, patience, "the buffers between the two are full", func() bool {
		if n := count.Load(); n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) > 300*time.Millisecond
	})
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	close(answer)
	_ = conn.Close() // the flood has an error then
	flooding.Wait()
	testenv.Eventually(t, patience, "the session is forgotten", func() bool { return f.sessions() == 0 })
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func (f *feed) sessions() int {
	f.sockets.mu.Lock()
	defer f.sockets.mu.Unlock()
	return f.sockets.present.all
}

// W7: the packets that wait for a client that never reads are bounded.
func TestWhatWaitsForASessionIsBounded_W7(t *testing.T) {
	f := startFeed(t)
	p := f.poll(t)
	c := f.onlySession(t)
	for range maxWaiting / 64 {
		c.post([]byte("2"))
	}
	if c.ctx.Err() == nil {
		t.Error("a session that takes no answers goes on")
	}
	if list := c.take(); len(list) > maxWaiting/64+1 {
		t.Errorf("%d packets wait", len(list))
	}
	response, err := http.Get(p.url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	testenv.Eventually(t, patience, "the session is forgotten", func() bool { return f.sessions() == 0 })
}

func (f *feed) onlySession(t testing.TB) *session {
	t.Helper()
	f.sockets.mu.Lock()
	defer f.sockets.mu.Unlock()
	for _, c := range f.sockets.sessions {
		return c
	}
	t.Fatal("no session")
	return nil
}

// A feed hands over one batch at a time and waits until the client has taken it.
func TestAFeedWaitsForItsSession(t *testing.T) {
	f := startFeed(t)
	p := f.poll(t)
	p.send(t, `42/raffles,1["join",{"raffle_id":7}]`)
	p.expect(t, `43/raffles,1[{"last_event_id":"1.1000-0","raffle_id":7}]`)
	c := f.onlySession(t)
	for range 5 {
		f.place(t, 100)
	}
	testenv.Eventually(t, patience, "a batch waits", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.waiting) == 1
	})
	f.place(t, 100)
	c.mu.Lock()
	waiting := len(c.waiting)
	c.mu.Unlock()
	if waiting != 1 {
		t.Errorf("%d batches wait", waiting)
	}
	got := 0
	for got < 600 {
		got += strings.Count(strings.TrimSuffix(p.next(t), `"]`), ",") - 2 // of `42/raffles,["bidList",[1,2],"id`
	}
}

// W7: sessions are bounded, in all and of an address, whether they join or not.
func TestSessionsOfAnAddressAreBounded_W7(t *testing.T) {
	f := startFeed(t)
	for range f.hub.bounds.OfAddress {
		f.poll(t)
	}
	response, err := http.Get(f.url + "/socket.io/?EIO=4&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one more by polls: %d %v", response.StatusCode, err)
	}
	if _, status := f.dial(t, nil); status != http.StatusServiceUnavailable {
		t.Errorf("one more by websocket: %d", status)
	}
	if _, status := f.dial(t, http.Header{"X-Forwarded-For": {"192.0.2.1"}}); status != http.StatusSwitchingProtocols {
		t.Errorf("another address: %d", status)
	}
	if n := f.metric(t, "query_live_refused_total"); n != 2 {
		t.Errorf("%v refusals counted", n)
	}
}

// A packet that the protocol does not have ends the session.
func TestASessionThatBreaksTheProtocolEnds(t *testing.T) {
	f := startFeed(t)
	for _, packet := range []string{"", "x", "9", "5", "4", "45", `42/raffles,["join"`, `42/raffles,{}`, "42/raffles,", `451-/raffles,["join",{"_placeholder":true,"num":0}]`} {
		conn := f.socket(t)
		sendSocket(t, conn, packet)
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.ReadMessage(); err == nil || isTimeout(err) {
			t.Errorf("%q is answered by %q, %v", packet, got, err)
		}
	}
	testenv.Eventually(t, patience, "no session is left", func() bool { return f.sessions() == 0 })
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func TestASessionJoinsSoManyRaffles(t *testing.T) {
	f := startFeed(t)
	f.sockets.check = func(context.Context, int64) string { return "" }
	conn := f.socket(t)
	for n := range maxJoined + 1 {
		sendSocket(t, conn, fmt.Sprintf(`42/raffles,%d["join",{"raffle_id":%d}]`, n, n+1))
		want := fmt.Sprintf(`43/raffles,%d[{"last_event_id"`, n)
		if n == maxJoined {
			want = fmt.Sprintf(`43/raffles,%d[{"error":"too many`, n)
		}
		expectSocket(t, conn, want)
	}
	sendSocket(t, conn, "41"+Namespace+",")
	testenv.Eventually(t, patience, "all feeds end", func() bool { return f.metric(t, "query_live_subscribers") == 0 })
	sendSocket(t, conn, "40/nowhere,")
	expectSocket(t, conn, `44/nowhere,{"message":"Invalid namespace"}`)
}

// W7: a session that sends faster than it may is read at the allowed rate, however much it sends.
func TestASessionThatSendsTooMuchIsSlowedDown_W7(t *testing.T) {
	f := startFeed(t)
	conn := f.socket(t)
	begun := time.Now()
	var count atomic.Int64
	var flooding sync.WaitGroup
	packet := `42/raffles,["join",{` + strings.Repeat(" ", 3900) + `}]`
	flooding.Go(func() { flood(t, conn, packet, &count) })
	const answers = packetBurst + 3*packetRate
	for n := range int(answers) {
		expectSocket(t, conn, `42/raffles,["error"`)
		if most := packetBurst + float64(packetRate)*time.Since(begun).Seconds(); float64(n) > most {
			t.Fatalf("%d packets were taken after %v", n, time.Since(begun))
		}
	}
	_ = conn.Close() // the flood has an error then
	flooding.Wait()
	testenv.Eventually(t, patience, "the session is forgotten", func() bool { return f.sessions() == 0 })
}

// W7: a session that polls is dropped when it sends faster than it may, because its request can't wait.
func TestAPollingSessionThatSendsTooMuchIsDropped_W7(t *testing.T) {
	f := startFeed(t)
	p := f.poll(t)
	p.send(t, strings.Repeat(`42/raffles,["nobody listens"]`+string(separator), packetBurst)+"3")
	testenv.Eventually(t, patience, "the session is dropped", func() bool { return f.metric(t, "query_live_dropped_total") == 1 })
}
