package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const (
	sampledLookups = 2_000
	lookupsEvery   = 4 * time.Millisecond
	listpackMost   = 127 // zset-max-listpack-entries, without the sentinel
	sampledSets    = 1_000
)

// BenchmarkRebuild builds the read model of the full data set (BENCH_SCALE=demo: of the demo data) anew while
// lookups are answered and each body is compared with what SQL gave, once with the old epoch served
// and once after FLUSHALL. Then it reports the memory per bid and lets the replicator verify all.
func BenchmarkRebuild(b *testing.B) {
	s := tree.startReplication(b, scale())
	s.streaming(b, 0)
	bids := s.count(b)
	fmt.Printf("build  %d bids\n", bids)
	s.memory(b, bids)

	standby := s.primary.StartStandby(b, durable...)
	pgpool := testenv.StartPgpool(b, s.primary, standby)
	_, addr := startService(b, "query", testenv.Unlimited, "PRIMARY_URL="+s.primary.URL("query"), "REPLICA_URL="+pgpool.URL("query"),
		"STANDBY_URL="+standby.URL("query"), "REDIS_URL="+s.redis.URL(), "ALLOW_READ_PATH=true", "LOG_LEVEL=error")
	r := &reader{url: "http://" + addr, want: make(map[string][]byte), client: &http.Client{Timeout: 5 * time.Second}}
	r.prepare(b, s.db)

	for _, how := range []struct {
		name string
		do   func()
	}{
		{"replicator rebuild", func() { s.operate(b, "rebuild") }},
		{"FLUSHALL", func() { s.redisDo(b, "FLUSHALL") }},
	} {
		before, begun := s.report(b).Rebuilds, time.Now()
		stop := r.run(b)
		how.do()
		s.streaming(b, before+1)
		took := time.Since(begun)
		fmt.Printf("build  after %s: %.1f s; %s\n", how.name, took.Seconds(), stop())
		b.ReportMetric(took.Seconds(), "s-rebuild")
	}
	begun := time.Now()
	fmt.Printf("build  verify: %s\n", s.operate(b, "verify"))
	b.ReportMetric(time.Since(begun).Seconds(), "s-verify")
}

func scale() string {
	if v := os.Getenv("BENCH_SCALE"); v != "" {
		return v
	}
	return "full"
}

// streaming waits until the replicator has built the model so many times and streams.
func (s *replication) streaming(b *testing.B, rebuilds int) {
	b.Helper()
	deadline := time.Now().Add(drainTime)
	for {
		st := s.report(b)
		if st.State == "streaming" && st.Rebuilds >= rebuilds {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("not streaming after %v: %+v", drainTime, st)
		}
		<-time.After(lookEvery)
	}
}

func (s *replication) count(b *testing.B) (n int64) {
	b.Helper()
	if err := s.db.QueryRow(context.Background(), "SELECT count(*) FROM bids").Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}

// redisDo sends one command and returns its reply as text, an array as its elements.
func (s *replication) redisDo(b *testing.B, command string) (all []string) {
	b.Helper()
	c, err := resp.Dial(context.Background(), resp.Options{Network: "tcp", Addr: s.redis.Addr(), DialTimeout: 5 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var commands resp.Commands
	commands.Add(strings.Fields(command)...)
	if _, err := c.Write(commands.Wire); err != nil {
		b.Fatal(err)
	}
	for left := int64(1); left > 0; left-- {
		reply, err := c.Next()
		if err == nil {
			err = reply.Err()
		}
		if err != nil {
			b.Fatalf("%s: %v", command, err)
		}
		switch reply.Kind {
		case resp.Array:
			left += reply.N
		case resp.Integer:
			all = append(all, strconv.FormatInt(reply.N, 10))
		default:
			all = append(all, string(reply.Text))
		}
	}
	return all
}

// memory prints the bytes per bid, in both orders, of small and of large sets, and of the whole model.
func (s *replication) memory(b *testing.B, bids int64) {
	b.Helper()
	_, after, _ := strings.Cut(strings.Join(s.redisDo(b, "INFO memory"), ""), "\nused_memory:")
	var used int64
	if _, err := fmt.Sscan(after, &used); err != nil {
		b.Fatal(err)
	}
	fmt.Printf("build  redis holds %.0f MB, %.0f bytes per bid in all\n", float64(used)/1e6, float64(used)/float64(bids))
	for name, members := range map[string]string{"small": "<=", "large": ">"} {
		rows, err := s.db.Query(context.Background(), fmt.Sprintf(`SELECT raffle_id, size, count(*) FROM bids GROUP BY 1, 2
			HAVING count(*) %s %d ORDER BY md5(raffle_id::text || size) LIMIT %d`, members, listpackMost, sampledSets))
		if err != nil {
			b.Fatal(err)
		}
		var raffle, size, n, sum, bytes int64
		var keys []string
		_, err = pgx.ForEachRow(rows, []any{&raffle, &size, &n}, func() error {
			sum += n
			keys = append(keys, fmt.Sprintf("{r%d}:%s:n:%d", raffle, s.epoch(b), size), fmt.Sprintf("{r%d}:%s:h:%d", raffle, s.epoch(b), size))
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		for _, key := range keys {
			used, err := strconv.ParseInt(s.redisDo(b, "MEMORY USAGE "+key+" SAMPLES 0")[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			bytes += used
		}
		if sum > 0 {
			fmt.Printf("build  %d %s sets: %.0f bytes per bid in both orders\n", len(keys)/2, name, float64(bytes)/float64(sum))
			b.ReportMetric(float64(bytes)/float64(sum), "bytes-"+name)
		}
	}
}

// epoch is the sixth word of the checkpoint.
func (s *replication) epoch(b *testing.B) string {
	return strings.Fields(s.redisDo(b, "GET pyramid:checkpoint")[0])[5]
}

// operate runs a subcommand of the replicator, as an operator would, and returns its last line.
func (s *replication) operate(b *testing.B, verb string) string {
	b.Helper()
	c := exec.Command(testenv.Binary(b, "./replicator"), verb)
	c.Env = append(os.Environ(), "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URL(), "LISTEN_ADDR="+s.addr)
	begun := time.Now()
	out, err := testenv.Run(c)
	if err != nil {
		b.Fatalf("replicator %s: %v\n%s", verb, err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return fmt.Sprintf("%.1f s: %s", time.Since(begun).Seconds(), lines[len(lines)-1])
}

// reader looks bids up and knows the right answers.
type reader struct {
	url    string
	client *http.Client
	paths  []string
	want   map[string][]byte
}

func (r *reader) prepare(b *testing.B, db *pgx.Conn) {
	b.Helper()
	rows, err := db.Query(context.Background(), fmt.Sprintf(`SELECT raffle_id, size FROM (SELECT DISTINCT raffle_id, size FROM bids
		WHERE id %% 97 = 0) b ORDER BY md5(raffle_id::text || size) LIMIT %d`, sampledLookups))
	if err != nil {
		b.Fatal(err)
	}
	var raffle, size int64
	_, err = pgx.ForEachRow(rows, []any{&raffle, &size}, func() error {
		for _, order := range []string{"newest", "highest"} {
			r.paths = append(r.paths, fmt.Sprintf("/v1/raffles/%d/bids?size=%d&order=%s", raffle, size, order))
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range r.paths {
		r.want[path] = r.fromStandby(b, path)
	}
}

// fromStandby asks until the standby answers, because a standby that has just started is not trusted at once, and a busy one
// may take too long.
func (r *reader) fromStandby(b *testing.B, path string) []byte {
	b.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		status, from, body, err := r.get(path, "standby")
		if err == nil && status == http.StatusOK && from == "standby" {
			return body
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s from SQL: %d from %s, %v", path, status, from, err)
		}
		<-time.After(lookEvery)
	}
}

// get returns the body without next_cursor, which holds a position.
func (r *reader) get(path, force string) (status int, from string, body []byte, err error) {
	q, err := http.NewRequest(http.MethodGet, r.url+path, nil)
	if err != nil {
		return 0, "", nil, err
	}
	if force != "" {
		q.Header.Set("Read-Path", force)
	}
	a, err := r.client.Do(q)
	if err != nil {
		return 0, "", nil, err
	}
	defer a.Body.Close()
	body, err = io.ReadAll(a.Body)
	if i := bytes.LastIndex(body, []byte(`,"next_cursor"`)); i >= 0 {
		body = body[:i]
	}
	return a.StatusCode, a.Header.Get("Read-Path"), body, err
}

// run looks bids up until stop is called. stop returns the outcome.
func (r *reader) run(b *testing.B) (stop func() string) {
	ctx, cancel := context.WithCancel(context.Background())
	from := make(map[string]int)
	var failed, wrong int
	var worst time.Duration
	var done sync.WaitGroup
	done.Go(func() {
		random := rand.New(rand.NewPCG(5, 5))
		tick := time.NewTicker(lookupsEvery)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			path := r.paths[random.IntN(len(r.paths))]
			begun := time.Now()
			status, path2, body, err := r.get(path, "")
			worst = max(worst, time.Since(begun))
			switch {
			case err != nil || status != http.StatusOK:
				failed++
			case !bytes.Equal(body, r.want[path]):
				wrong++
			default:
				from[path2]++
			}
		}
	})
	return func() string {
		cancel()
		done.Wait()
		if failed+wrong > 0 {
			b.Errorf("%d lookups failed and %d were wrong", failed, wrong)
		}
		return fmt.Sprintf("lookups meanwhile by path %v, failed %d, wrong %d, slowest %v", from, failed, wrong, worst.Round(time.Millisecond))
	}
}
