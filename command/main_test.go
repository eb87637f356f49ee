package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func TestConfig(t *testing.T) {
	for name, value := range map[string]string{"LISTEN_ADDR": ":0", "ADMIN_ADDR": ":0", "JWT_KEYS_DIR": "keys",
		"PRIMARY_URL": "postgres://command:secret@a:1,b:2/pyramid", "TOKEN_TTL": "", "REFRESH_TTL": "24h", "LOG_LEVEL": "debug",
		"RATE_LIMIT": "user=20/40,address=200/400", "TRUSTED_PROXIES": "10.0.0.0/8"} {
		t.Setenv(name, value)
	}
	if err := os.Unsetenv("TOKEN_TTL"); err != nil {
		t.Fatal(err)
	}
	config, err := env.Parse(&Config{})
	if err != nil || config.TokenTTL != time.Hour || config.RefreshTTL != 24*time.Hour ||
		config.RateLimit.User != (limit.Rate{PerSecond: 20, Burst: 40}) || len(config.TrustedProxies) != 1 {
		t.Fatalf("%+v, %v", config, err)
	}
	for name, value := range map[string]string{"LISTEN_ADDR": "8081", "JWT_KEYS_DIR": "", "LOG_LEVEL": "loud", "TOKEN_TTL": "25h", "REFRESH_TTL": "1ms",
		"RATE_LIMIT": "20", "TRUSTED_PROXIES": "proxy",
		"PRIMARY_URL": "postgres://command:secret@a/pyramid?target_session_attrs=any"} {
		t.Setenv(name, value)
	}
	if err := os.Unsetenv("JWT_KEYS_DIR"); err != nil {
		t.Fatal(err)
	}
	_, err = env.Parse(&Config{})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"LISTEN_ADDR", "JWT_KEYS_DIR", "LogLevel", "TOKEN_TTL", "REFRESH_TTL", "PRIMARY_URL", "RateLimit", "TrustedProxies"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported in: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the password is in: %v", err)
	}
}

// running is the service in its own process.
type running struct {
	*testenv.Program
	t             testing.TB
	public, admin string
}

// start starts the service and waits until it lives.
func start(t testing.TB, database fixture.Server, environment ...string) *running {
	t.Helper()
	return launch(t, database, "/livez", environment...)
}

// launch starts the service and, if alive is a path of its admin listener, waits until that answers.
func launch(t testing.TB, database fixture.Server, alive string, environment ...string) *running {
	t.Helper()
	listen := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	admin := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	ready := ""
	if alive != "" {
		ready = "http://" + admin + alive
	}
	return &running{t: t, public: "http://" + listen, admin: "http://" + admin, Program: testenv.StartProcess(t, testenv.Process{
		Path: testenv.Binary(t, "./command"),
		Env: append([]string{"LISTEN_ADDR=" + listen, "ADMIN_ADDR=" + admin, "PRIMARY_URL=" + database.URL("command"),
			"JWT_KEYS_DIR=" + filepath.Join(t.TempDir(), "jwt"), "LOG_LEVEL=debug"}, environment...),
		Ready: ready,
	})}
}

func (p *running) get(url string) (int, string) {
	p.t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		p.t.Fatal(err)
	}
	return read(p.t, answer)
}

func read(t testing.TB, answer *http.Response) (int, string) {
	t.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func (p *running) post(path, token, body string) (*http.Response, error) {
	r, err := http.NewRequest(http.MethodPost, p.public+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	return http.DefaultClient.Do(r)
}

func (p *running) login() (token string) {
	p.t.Helper()
	answer, err := p.post("/v1/login", "", `{"login":"user1","password":"pyramid"}`)
	if err != nil {
		p.t.Fatal(err)
	}
	status, body := read(p.t, answer)
	var doc struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || status != http.StatusOK {
		p.t.Fatalf("login: %d %s %v", status, body, err)
	}
	return doc.AccessToken
}

func TestStartsBeforeThePrimary(t *testing.T) {
	server := testenv.StartPostgres(t)
	fixture.Fill(t, server)
	server.Stop(t)
	p := start(t, server)
	if status, body := p.get(p.admin + "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("ready without a primary: %d %s", status, body)
	}
	answer, err := p.post("/v1/login", "", `{"login":"user1","password":"pyramid"}`)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := read(t, answer); status != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("login without a primary: %d %s", status, body)
	}
	server.Start(t)
	testenv.Eventually(t, 10*time.Second, "the service is ready", func() bool {
		status, _ := p.get(p.admin + "/readyz")
		return status == http.StatusOK
	})
	answer, err = p.post("/v1/raffles/1/bids", p.login(), `{"size":270,"price":1000}`)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := read(t, answer); status != http.StatusCreated {
		t.Errorf("bid: %d %s", status, body)
	}
	_, metrics := p.get(p.admin + "/metrics")
	for _, name := range []string{`command_bids_total{outcome="placed"} 1`, `command_logins_total{outcome="accepted"} 1`, "command_password_checks_waiting", "command_password_checks_running",
		"command_password_check_seconds_count", "command_primary_connections", "http_request_duration_seconds", "go_goroutines"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("no %s in the metrics", name)
		}
	}
	if status, body := p.get(p.public + "/openapi/command.yaml"); status != http.StatusOK || body != string(document) {
		t.Errorf("document: %d", status)
	}
	if p.Stop(t) != 0 {
		t.Error("exit status is not 0")
	}
}

// Raffles close within a second of their end, even if the instance that closes them is killed.
func TestAnotherInstanceCloses(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	instances := []*running{start(t, db), start(t, db)}
	leads := func(p *running) bool {
		_, metrics := p.get(p.admin + "/metrics")
		return strings.Contains(metrics, "\ncommand_closer_active 1\n")
	}
	testenv.Eventually(t, 10*time.Second, "one closes", func() bool { return leads(instances[0]) || leads(instances[1]) })
	if leads(instances[1]) {
		instances[0], instances[1] = instances[1], instances[0]
	}
	if leads(instances[1]) {
		t.Error("both close")
	}
	db.Exec(t, `INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at)
		SELECT 2000 + n, 1, 1, now() - interval '1 s', now() + 20 * n * interval '1 ms' FROM generate_series(1, 150) n`)
	instances[0].Kill(t)
	testenv.Eventually(t, 15*time.Second, "all are closed", func() bool {
		return fixture.Count(t, db, "SELECT count(*) FROM raffles WHERE id > 2000 AND closed_at IS NULL") == 0
	})
	if late := fixture.Count(t, db, "SELECT (extract(epoch FROM max(closed_at - ends_at)) * 1000)::bigint FROM raffles WHERE id > 2000"); late >= 1000 {
		t.Errorf("closed up to %d ms late", late)
	}
	if !leads(instances[1]) {
		t.Error("the second instance doesn't say that it closes")
	}
	// An instance that is stopped or cut off loses the lock too.
	instances[0].Start(t)
	instances[1].Pause(t)
	testenv.Eventually(t, 15*time.Second, "the first one closes again", func() bool { return leads(instances[0]) })
	instances[1].Resume(t)
	testenv.Eventually(t, 15*time.Second, "the second one notices", func() bool { return !leads(instances[1]) })
}

func TestFinishesWhatIsInFlight(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	p := start(t, db)
	token := p.login()
	address := strings.TrimPrefix(p.public, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = `{"size":270,"price":1000}`
	from := bufio.NewReader(conn)
	_, err = fmt.Fprintf(conn, "POST /v1/raffles/1/bids HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", address, token, len(body))
	if err != nil {
		t.Fatal(err)
	}
	// The server asks for the body when the handler reads it.
	if line, err := from.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := from.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.Signal(t, syscall.SIGTERM)
	testenv.Eventually(t, 5*time.Second, "no new connection is taken", func() bool {
		other, err := net.Dial("tcp", address)
		if err != nil {
			return true
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		return false
	})
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, text := read(t, answer); status != http.StatusCreated {
		t.Errorf("the bid in flight: %d %s", status, text)
	}
	if status := p.Wait(t); status != 0 || time.Since(began) > 10*time.Second {
		t.Errorf("exit status %d after %v", status, time.Since(began))
	}
}

func BenchmarkPostBid(b *testing.B) {
	server := testenv.StartPostgres(b, testenv.Set("fsync", "on"), testenv.Set("full_page_writes", "on"))
	fixture.Fill(b, server)
	p := start(b, server)
	token := p.login()
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		began := time.Now()
		answer, err := p.post("/v1/raffles/1/bids", token, `{"size":270,"price":1000}`)
		if err != nil {
			b.Fatal(err)
		}
		if status, body := read(b, answer); status != http.StatusCreated {
			b.Fatal(status, body)
		}
		took = append(took, time.Since(began))
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}
