package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const (
	liveRaffle      = 901
	liveSubscribers = 2_000
	liveRate        = 100 // bids per second, a transaction each
	liveTime        = 20 * time.Second
	liveLimit       = 250 * time.Millisecond // p99
)

// audience is many subscribers of one raffle's live feed.
type audience struct {
	mu       sync.Mutex
	took     *hdrhistogram.Histogram // microseconds from a bid's created_at to its arrival
	reads    int64
	failures []error
	ready    sync.WaitGroup
	work     sync.WaitGroup
}

// BenchmarkLive has 2,000 subscribers on one raffle at 100 bids a second, from the insert to every client.
// Subscribers, database and all services share the machine.
func BenchmarkLive(b *testing.B) {
	s := tree.startReplication(b, "demo")
	query, addr := startService(b, "query", testenv.Unlimited, "PRIMARY_URL="+s.primary.URL("query"), "REPLICA_URL="+s.primary.URL("query"),
		"STANDBY_URL="+s.primary.URL("query"), "REDIS_URL="+s.redis.URL())
	before := residentKB(b, query.PID())
	for b.Loop() {
		a := &audience{took: hdrhistogram.New(1, 60_000_000, 3)}
		ctx, leave := context.WithCancel(b.Context())
		for range liveSubscribers {
			a.ready.Add(1)
			a.work.Go(func() { a.listen(ctx, addr) })
		}
		a.ready.Wait()
		start, used := time.Now(), cpuOf(b, query.PID())
		s.bidAtRate(b)
		testenv.Eventually(b, 10*time.Second, "everybody has everything", func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return a.took.TotalCount() >= int64(liveSubscribers*liveRate*liveTime/time.Second) || len(a.failures) > 0
		})
		busy := (cpuOf(b, query.PID()) - used).Seconds() / time.Since(start).Seconds()
		memory := float64(residentKB(b, query.PID())-before) / liveSubscribers
		leave()
		a.work.Wait()
		a.report(b, busy, memory)
	}
}

func (a *audience) report(b *testing.B, busy, memory float64) {
	b.Helper()
	if len(a.failures) > 0 {
		b.Fatalf("%d subscribers failed, the first: %v", len(a.failures), a.failures[0])
	}
	p50, p99 := a.took.ValueAtPercentile(50), a.took.ValueAtPercentile(99)
	fmt.Printf("live   %d subscribers, %d bids/s: delivered after p50 %.1f ms, p99 %.1f ms, at most %.1f ms; %.1f bids a read; query %.2f cores, %.1f kB a subscriber\n",
		liveSubscribers, liveRate, float64(p50)/1e3, float64(p99)/1e3, float64(a.took.Max())/1e3,
		float64(a.took.TotalCount())/float64(a.reads), busy, memory)
	b.ReportMetric(float64(p50)/1e3, "p50-ms")
	b.ReportMetric(float64(p99)/1e3, "p99-ms")
	b.ReportMetric(memory, "kB/subscriber")
	b.ReportMetric(busy, "cores")
	if p99 > liveLimit.Microseconds() {
		b.Errorf("p99 %.1f ms, more than %v", float64(p99)/1e3, liveLimit)
	}
}

// listen is one subscriber. It uses a plain connection, so that measuring costs little.
func (a *audience) listen(ctx context.Context, addr string) {
	ready := sync.OnceFunc(a.ready.Done)
	defer ready()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		a.fail(err)
		return
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := fmt.Fprintf(conn, "GET /v1/raffles/%d/live HTTP/1.1\r\nHost: bench\r\n\r\n", liveRaffle); err != nil {
		a.fail(err)
		return
	}
	// The first block, an id only, says that the feed has begun.
	r := bufio.NewReaderSize(conn, 4096)
	for line := ""; !strings.HasPrefix(line, "id: "); {
		if line, err = r.ReadString('\n'); err != nil {
			a.fail(err)
			return
		}
	}
	ready()
	a.read(ctx, conn, r)
}

func (a *audience) read(ctx context.Context, conn net.Conn, r *bufio.Reader) {
	var rest []byte
	if n := r.Buffered(); n > 0 {
		head, err := r.Peek(n)
		if err != nil {
			a.fail(err)
			return
		}
		rest = bytes.Clone(head)
	}
	buffer := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			if ctx.Err() == nil {
				a.fail(err)
			}
			return
		}
		if rest, err = a.arrived(append(rest, buffer[:n]...)); err != nil {
			a.fail(err)
			return
		}
	}
}

var createdAt = []byte(`"created_at":"`)

// arrived counts the bids in the text that was read and returns the incomplete rest.
func (a *audience) arrived(text []byte) ([]byte, error) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	found := false
	for {
		i := bytes.Index(text, createdAt)
		end := i + len(createdAt) + len("2006-01-02T15:04:05.000000Z")
		if i < 0 || end > len(text) {
			break
		}
		at, err := time.Parse(time.RFC3339Nano, string(text[i+len(createdAt):end]))
		if err != nil {
			return nil, err
		}
		if err := a.took.RecordValue(max(now.Sub(at).Microseconds(), 1)); err != nil {
			return nil, err
		}
		text, found = text[end:], true
	}
	if found {
		a.reads++
	}
	// The next read may complete a name that is cut in two.
	return bytes.Clone(text[max(0, len(text)-200):]), nil
}

func (a *audience) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failures = append(a.failures, err)
}

// bidAtRate places liveRate bids a second for liveTime.
func (s *replication) bidAtRate(b *testing.B) {
	b.Helper()
	tick := time.NewTicker(time.Second / liveRate)
	defer tick.Stop()
	for range liveRate * liveTime / time.Second {
		<-tick.C
		s.exec(b, `INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES ($1, 1, 270, 1000, clock_timestamp())`, liveRaffle)
	}
}

func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	t, err := treeCPU(pid)
	if err != nil {
		b.Fatal(err)
	}
	return t
}

// residentKB is the memory of a process (proc(5), /proc/PID/status).
func residentKB(b *testing.B, pid int) int64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb
}
