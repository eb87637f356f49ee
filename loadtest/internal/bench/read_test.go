package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// reads is the whole system for reading.
type reads struct {
	*stack
	pgpool                *testenv.Pgpool
	query                 *testenv.Program
	queryAddr, queryAdmin string
	keys                  []key
	lookups               []string // pages of 50 bids, one for each of many raffles and sizes
}

// readTime is the length of a turn.
const readTime = 3 * time.Second

// read is one line of the table: a request, and the baseline that answers the same bytes without looking them up.
type read struct {
	name, route string
	paths       []string
	headers     []string
	copyHeaders []string // of the request whose answer the baseline copies: NAME=value of staticserver
	clients     int      // 0: wrkConnections
	sql         bool     // PostgreSQL answers, otherwise Redis
	rate        goal     // of the baseline's rate
	cpu         goal     // of the processor time of BENCH_BASE
	hot         *hot     // for which bids are placed meanwhile; nil: none are
}

// BenchmarkRead compares every read with a static handler on the same router that writes the same bytes,
// in turns, on the full data set (BENCH_SCALE=demo: on the demo data, which has fewer raffles with 50 bids
// of a size); and its processor time with that of the commit BENCH_BASE. Hot raffles are read while bids for them come in.
func BenchmarkRead(b *testing.B) {
	var systems []*reads
	var lists [][]read
	for _, v := range builds(b) {
		s := v.startReads(b)
		systems, lists = append(systems, s), append(lists, s.reads(b))
	}
	s := systems[0]
	fmt.Printf("read   %d raffles and sizes with at least %d bids are looked up\n", len(s.lookups), lookupBids)
	for i, r := range lists[0] {
		var sides []side
		for j, system := range systems {
			sides = append(sides, side{reads: system, read: lists[j][i]})
		}
		compare(b, r, sides)
	}
	s.lookupsByEngine(b)
	s.openWhileWriting(b)
	s.settings(b)
}

func (s *reads) reads(b *testing.B) []read {
	const list, lookup = "/v1/raffles?status=open&limit=1000", "/v1/raffles/{raffle_id}/bids"
	tag := s.entityTag(b, list)
	top := hottest(s.keys)
	return []read{
		{name: "hello", paths: []string{"/hello"}, rate: atLeast(0.75)},
		{name: "lookup of 50, spread", route: lookup, paths: s.lookups, rate: atLeast(0.75), cpu: atMost(0.7)},
		{name: "lookup of 50, skewed", route: lookup, paths: skewed(s.keys), rate: atLeast(0.85)},
		{name: "lookup of 50, replica", route: lookup, paths: s.lookups, cpu: atMost(0.5), headers: []string{"Read-Path: replica"}, clients: sqlClients, sql: true},
		{name: "lookup of 50, standby", route: lookup, paths: s.lookups, headers: []string{"Read-Path: standby"}, clients: sqlClients, sql: true},
		{name: "1,000 raffles, plain", route: "/v1/raffles", paths: []string{list}, rate: atLeast(0.8)},
		{name: "1,000 raffles, gzip", route: "/v1/raffles", paths: []string{list}, rate: atLeast(0.8),
			headers: []string{"Accept-Encoding: gzip"}, copyHeaders: []string{"ACCEPT_ENCODING=gzip"}},
		{name: "1,000 raffles, 304", route: "/v1/raffles", paths: []string{list}, rate: atLeast(0.85),
			headers: []string{"If-None-Match: " + tag}, copyHeaders: []string{"IF_NONE_MATCH=" + tag}},
		{name: "newest 2,000 of a size", route: "/v1/bids", paths: []string{"/v1/bids?size=270&limit=2000"}, clients: heavyClients, rate: atLeast(0.8)},
		// The hot ones come last, because their bids add to the data.
		{name: "lookup of 50, one hot set", route: lookup, paths: []string{top.page()}, rate: atLeast(0.9), hot: &hot{top.Raffle, top.Size}},
		{name: "one hot raffle", route: "/v1/raffles/{raffle_id}", paths: []string{rafflePath(top.Raffle)}, rate: atLeast(0.8), hot: &hot{raffle: top.Raffle}},
	}
}

func rafflePath(id int64) string { return fmt.Sprintf("/v1/raffles/%d", id) }

func (v *build) startReads(b *testing.B) *reads {
	b.Helper()
	scale := os.Getenv("BENCH_SCALE")
	if scale == "" {
		scale = "full"
	}
	s := &reads{stack: &stack{build: v, primary: v.startPrimary(b), redis: v.startRedis(b)}}
	v.seed(b, s.primary, scale)
	s.standby = s.primary.StartStandby(b, durable...)
	s.pgpool = testenv.StartPgpool(b, s.primary, s.standby)
	s.startReplicator(b)
	s.command, s.commandAddr = v.start(b, "command", v.unlimited(), "PRIMARY_URL="+s.primary.URL("command"), "LOGIN_CORES=2", "JWT_KEYS_DIR="+b.TempDir(), "LOG_LEVEL=warn")
	s.bearer = tokens(b, s.commandAddr)
	s.query, s.queryAddr, s.queryAdmin = v.startBoth(b, "query", v.unlimited(), "PRIMARY_URL="+s.primary.URL("query"), "REPLICA_URL="+s.pgpool.URL("query"),
		"STANDBY_URL="+s.standby.URL("query"), "REDIS_URL="+s.redis.URL(), "ALLOW_READ_PATH=true", "LOG_LEVEL=error")
	testenv.Eventually(b, 10*time.Minute, "Redis answers", func() bool {
		return s.head(b, "/v1/raffles").Get("Read-Path") == "redis"
	})
	s.keys = s.listKeys(b)
	s.lookups = spread(s.keys)
	return s
}

// startReplicator doesn't wait for the read model: the full one may take longer than a start may.
func (s *reads) startReplicator(b *testing.B) {
	b.Helper()
	listen, admin := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b)), fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
	s.replicator = testenv.StartProcess(b, testenv.Process{
		Path: s.program(b, "./replicator"), Ready: "http://" + admin + "/livez",
		Env: []string{"LISTEN_ADDR=" + listen, "ADMIN_ADDR=" + admin, "PRIMARY_URL=" + s.primary.URL("replicator"), "REDIS_URL=" + s.redis.URL()},
	})
}

func query[T any](b *testing.B, node *testenv.Postgres, sql string, scan pgx.RowToFunc[T]) []T {
	b.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, node.URL("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		b.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		b.Fatal(err)
	}
	return list
}

func (s *reads) entityTag(b *testing.B, path string) string {
	return s.head(b, path).Get("Etag")
}

// plain asks for no compression, because a compressed answer has another entity tag.
var plain = http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: 10 * time.Second}

// head returns the headers of the answer to a GET.
func (s *reads) head(b *testing.B, path string) http.Header {
	b.Helper()
	_, header, _, err := get("http://" + s.queryAddr + path)
	if err != nil {
		b.Fatal(err)
	}
	return header
}

// get returns an answer of any status with its body.
func get(url string) (status int, header http.Header, body []byte, err error) {
	r, err := plain.Get(url)
	if err != nil {
		return 0, nil, nil, err
	}
	defer r.Body.Close()
	body, err = io.ReadAll(r.Body)
	return r.StatusCode, r.Header, body, err
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// baseline starts a server of its own process that answers what query answers to the first path.
func (s *reads) baseline(b *testing.B, r read) load {
	b.Helper()
	environment := r.copyHeaders
	if r.route != "" {
		environment = append(environment, "ROUTE="+r.route, "COPY=http://"+s.queryAddr+r.paths[0])
	}
	_, addr := startService(b, "loadtest/internal/bench/staticserver", environment...)
	return load{addr: addr, paths: r.paths, headers: r.headers, clients: cmp.Or(r.clients, wrkConnections)}
}

// used is the processor time so far; pg is everything between query and the rows.
func (s *reads) used(b *testing.B) map[string]time.Duration {
	b.Helper()
	used := map[string]time.Duration{}
	for pid, name := range map[int]string{s.query.PID(): "query", s.redis.PID(): "redis", s.primary.PID(): "pg", s.standby.PID(): "pg", s.pgpool.PID(): "pg"} {
		t, err := treeCPU(pid)
		if err != nil {
			b.Fatal(err)
		}
		used[name] += t
	}
	return used
}
