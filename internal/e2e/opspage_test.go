package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// opsStack is a stack whose replicator and query show each other on their pages. The replicator's way to Redis can be made
// slow.
type opsStack struct {
	*stack
	replicator   *testenv.Program
	way          *testenv.Proxy // from the replicator to Redis
	redis        *redis.Client
	own, query   string // the pages
	replicatorAt string // host:port
	queryAdmin   string // host:port
}

func startOpsStack(t *testing.T) *opsStack {
	t.Helper()
	s := &opsStack{stack: startStack(t)}
	if status := s.stack.replicator.Stop(t); status != 0 {
		t.Fatalf("the replicator ended with %d", status)
	}
	if status := s.stack.query.Stop(t); status != 0 {
		t.Fatalf("query ended with %d", status)
	}
	s.way = testenv.StartProxy(t, s.stack.redis.Addr())
	s.redis = redis.NewClient(&redis.Options{Addr: s.stack.redis.Addr()})
	t.Cleanup(func() { s.redis.Close() })
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)) }
	s.replicatorAt, s.queryAdmin = address(), address()
	s.own, s.query = "http://"+s.replicatorAt+"/ops", "http://"+s.queryAdmin+"/ops"
	s.replicator = s.startAt(t, "replicator", s.replicatorAt, address(), s.settings()...)
	s.startAt(t, "query", address(), s.queryAdmin, testenv.Unlimited, "PRIMARY_URL="+s.primary.URL("query"), "REPLICA_URL="+s.pgpool.URL("query"),
		"STANDBY_URL="+s.standby.URL("query"), "REDIS_URL="+s.stack.redis.URL(), "OPS_PEERS=http://"+s.replicatorAt)
	return s
}

// settings are those of a replicator, but for its addresses.
func (s *opsStack) settings() []string {
	return []string{"PRIMARY_URL=" + s.bothNodes(), "REDIS_URL=" + s.way.URL(s.stack.redis.URL()),
		"OPS_PEERS=http://" + s.queryAdmin, "JWKS_URL=" + s.commandURL + "/.well-known/jwks.json", "VERIFY_INTERVAL=500ms"}
}

// bothNodes is the URL of the primary and the standby.
func (s *opsStack) bothNodes() string {
	return strings.Replace(s.primary.URL("replicator"), s.primary.Addr(), s.primary.Addr()+","+s.standby.Addr(), 1)
}

func (s *opsStack) startAt(t *testing.T, name, listen, admin string, settings ...string) *testenv.Program {
	t.Helper()
	return testenv.StartProcess(t, testenv.Process{Path: testenv.Binary(t, "./"+name),
		Env: append(settings, "LISTEN_ADDR="+listen, "ADMIN_ADDR="+admin), Ready: "http://" + admin + "/readyz"})
}

// says waits until an element's text matches.
func (p tab) says(within time.Duration, selector, pattern string) {
	p.t.Helper()
	want := regexp.MustCompile(pattern)
	var last string
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%s says %q", selector, last)
		}
	}()
	testenv.Eventually(p.t, within, selector+" says "+pattern, func() bool {
		last = p.text(selector)
		return want.MatchString(last)
	})
}

const (
	pagePatience = time.Minute
	// seenWithin is the promise: a stopped replicator is seen on the page.
	seenWithin = 15 * time.Second
)

// A replicator that is stopped says nothing more. Its own page says since when it has heard nothing, and shades that time;
// the page of query shows the lag of Redis grow, and who is silent. Both are right again afterwards.
func TestTheOpsPagesShowAStoppedReplicator_P7(t *testing.T) {
	s := startOpsStack(t)
	browser := startChromium(t)
	own, query := browser.open(t, s.own, desktop, false), browser.open(t, s.query, desktop, true)
	own.says(pagePatience, "#verdict", `^Redis follows the primary, \d+ ms behind`)
	query.says(pagePatience, "#verdict", `^Reads come from Redis, \d+ ms behind`)
	for _, path := range []string{"redis", "replica", "standby", "primary"} {
		own.says(pagePatience, "#paths", `(?m)^`+path+`\s.*\d ms`)
	}
	own.says(pagePatience, "#nodes", `primary\s+1\s+0/\w+\s`)
	own.says(pagePatience, "#nodes", `standby\s+1\s+0/\w+\s+[\d.]+ .?B`)
	own.says(pagePatience, "#events", `Following the primary from 1-0/\w+, epoch \d+`)
	own.says(pagePatience, "#events", `The primary is 127\.0\.0\.1:\d+, on timeline 1\.`) // told by query
	own.says(pagePatience, "figure .legend", `lag [\d.]+ ms`)
	s.replicator.Pause(t)
	stopped := time.Now()
	query.says(seenWithin, "#verdict", `^Redis is [\d.]+ s behind`)
	query.says(time.Until(stopped.Add(seenWithin)), "#verdict ul", "The replicator "+s.replicatorAt+" has said nothing since")
	own.says(time.Until(stopped.Add(seenWithin)), "#verdict", "^Nothing heard from the replicator at "+s.replicatorAt+` since \d\d:\d\d:\d\d`)
	own.says(time.Until(stopped.Add(seenWithin)), "svg", `nothing heard for \d+ s`)
	shaded := own.number("document.querySelector('svg .silent').width.baseVal.value")
	lag := query.number(lagOfRedis)
	testenv.Eventually(t, pagePatience, "the shade and the lag grow", func() bool {
		return own.number("document.querySelector('svg .silent').width.baseVal.value") > shaded && query.number(lagOfRedis) > lag
	})
	query.says(pagePatience, "#events", `The replicator `+s.replicatorAt+` has said nothing for 5 s`)
	s.replicator.Resume(t)
	own.says(pagePatience, "#verdict", `^Redis follows the primary`)
	query.says(pagePatience, "#verdict", `^Reads come from Redis`)
	query.says(pagePatience, "#events", `is heard again`)
	query.says(pagePatience, "#events", `Redis has caught up`)
}

// lagOfRedis is the last value that the plot of query has of Redis, in milliseconds.
const lagOfRedis = "state.samples.at(-1).values[0] ?? 0"

// A rebuild, what it waits for, a lost key and its repair are seen as they happen. Only an admin sees buttons.
func TestTheOpsPageShowsARebuildAndARepair(t *testing.T) {
	t.Parallel()
	s := startOpsStack(t)
	browser := startChromium(t)
	page := browser.open(t, s.own, desktop, false)
	page.says(pagePatience, "#verdict", `^Redis follows`)
	s.holdToButtons(t, page)
	s.holdToRepair(t, page)
	s.holdToRebuild(t, page)
	s.holdToRequest(t, page)
}

// holdToRepair loses a key, which the comparison finds and names, and which is made anew.
func (s *opsStack) holdToRepair(t *testing.T, page tab) {
	t.Helper()
	e := s.epoch(t)
	if n, err := s.redis.Del(t.Context(), e.Raffle(openRaffle)).Result(); err != nil || n != 1 {
		t.Fatalf("%d keys removed, %v", n, err)
	}
	page.says(pagePatience, "#events", `Keys that differ from the primary: 1\. The first is `+regexp.QuoteMeta(e.Raffle(openRaffle)))
	page.says(pagePatience, "#events", fmt.Sprintf(`Loaded anew: raffle %d`, openRaffle))
	page.says(pagePatience, "#events", `Compared again: no key differs`)
	page.says(pagePatience, "#compared", `No key differs from the primary`)
	page.do(chromedp.Click(button("Compare all")))
	page.says(pagePatience, "#compared", `Asked for, comparison: all [\d,]+ keys are as the primary has them`)
}

// holdToRebuild lets Redis lose all. The rebuild waits for an open transaction, and is slow enough to be watched.
func (s *opsStack) holdToRebuild(t *testing.T, page tab) {
	t.Helper()
	total := float64(s.way.Sent())
	open := s.openTransaction(t)
	if err := s.redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	page.says(pagePatience, "#events", `Redis lost its data\. Rebuilding; the replica serves reads\.`)
	page.says(pagePatience, "#rebuild", `Making a slot, which waits for every open transaction: nothing copied yet`)
	page.says(pagePatience, "#rebuild", `waits for a transaction to end: `)
	page.says(pagePatience, "#verdict", `^Rebuilding the read model; the replica serves reads`)
	s.way.SetRate(total / 8)
	open()
	page.says(pagePatience, "#rebuild", `Copying: [1-9]\d? %: \S+ of about \S+ rows, \S+ rows/s, \d+ s left`)
	s.way.SetRate(0)
	page.says(pagePatience, "#events", `(?s)Rebuilt: epoch \d+ with [\d,]+ rows.*Redis lost its data`)
	page.says(pagePatience, "#verdict", `^Redis follows`)
	if page.is("!document.getElementById('rebuild').hidden") {
		t.Error("the rebuild is still shown")
	}
}

// holdToRequest asks for a rebuild by hand, which is made once the dialog was confirmed.
func (s *opsStack) holdToRequest(t *testing.T, page tab) {
	t.Helper()
	was := s.epoch(t)
	page.do(chromedp.Click(button("Rebuild")), chromedp.WaitVisible("#sure[open]"), chromedp.KeyEvent(kb.Escape))
	page.do(chromedp.Click(button("Rebuild")), chromedp.WaitVisible("#sure[open]"), chromedp.Click("#sure-yes"))
	page.says(pagePatience, "#events", `An operator asked for a rebuild\. Rebuilding; the present epoch is served meanwhile\.`)
	testenv.Eventually(t, pagePatience, "the next epoch", func() bool { return s.epoch(t) > was })
	if n := page.number("document.getElementById('events').innerText.split('An operator asked for a rebuild').length - 1"); n != 1 {
		t.Errorf("%v rebuilds were asked for", n)
	}
}

// button selects a button by its text.
func button(name string) string { return fmt.Sprintf(`//div[@id="buttons"]/button[.=%q]`, name) }

// holdToButtons gives the page tokens. A bidder's leads to no buttons. It leaves the page with those of an admin.
func (s *opsStack) holdToButtons(t *testing.T, page tab) {
	t.Helper()
	const buttons = "document.querySelectorAll('#buttons button').length"
	give := func(login string) {
		page.do(chromedp.SendKeys("#token", strings.TrimPrefix(s.login(t, login), "Bearer ")+kb.Enter))
	}
	if n := page.number(buttons); n != 0 {
		t.Errorf("%v buttons without a token", n)
	}
	give("user1")
	page.says(pagePatience, "#answer", "this is for admins")
	if n := page.number(buttons); n != 0 {
		t.Errorf("%v buttons with the token of a bidder", n)
	}
	give("admin")
	page.says(pagePatience, "#buttons", `(?s)Compare all.*Repair.*Rebuild`)
	// A browser keeps the token from nobody who asks without the page's own script.
	if page.is("document.cookie || localStorage.length || sessionStorage.length") {
		t.Error("the token is stored")
	}
	query := page.text("body")
	if strings.Contains(query, "Bearer") {
		t.Error("the token is shown")
	}
}

// openTransaction begins a transaction that writes and returns the function that ends it.
func (s *opsStack) openTransaction(t *testing.T) (end func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN")
	exec("UPDATE products SET name = name WHERE id = 1")
	return func() { exec("COMMIT") }
}

// epoch is the served one; 0: none.
func (s *opsStack) epoch(t *testing.T) readmodel.Epoch {
	t.Helper()
	text, err := s.redis.Get(t.Context(), readmodel.CheckpointKey).Result()
	if err != nil {
		return 0
	}
	c, err := readmodel.ParseCheckpoint(text)
	if err != nil {
		t.Fatal(err)
	}
	return c.Epoch
}
