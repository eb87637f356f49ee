package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/release"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// build is a version of the programs, with the schema, the data set and the settings of Redis that belong to it. Each
// build is measured on servers of its own, which are otherwise configured alike.
type build struct {
	name    string
	root    string           // of its sources
	release *release.Release // nil: the working tree
}

// tree is the working tree.
var tree = &build{name: "tree", root: "../../.."}

// builds are the working tree and, if BENCH_BASE names a commit, that commit.
func builds(b *testing.B) []*build {
	b.Helper()
	name := os.Getenv("BENCH_BASE")
	if name == "" {
		return []*build{tree}
	}
	r, err := release.Of(b.Context(), name)
	if err != nil {
		b.Fatalf("BENCH_BASE: %v", err)
	}
	return []*build{tree, {name: r.Commit[:7], root: r.Tree(), release: &r}}
}

// program returns the path of a program of the build.
func (v *build) program(b *testing.B, pkg string) string {
	b.Helper()
	if v.release == nil {
		return testenv.Binary(b, pkg)
	}
	dir, err := v.release.Build(b.Context(), pkg)
	if err != nil {
		b.Fatal(err)
	}
	return filepath.Join(dir, filepath.Base(pkg))
}

// startPrimary starts a primary with the schema of the build.
func (v *build) startPrimary(b *testing.B) *testenv.Postgres {
	b.Helper()
	p := testenv.StartPostgres(b, durable...)
	if v.release == nil {
		return p
	}
	admin := strings.Replace(p.URL("postgres"), "@/pyramid?", "@/postgres?", 1)
	v.tool(b, nil, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", "DROP DATABASE pyramid", admin)
	secrets := b.TempDir()
	for _, role := range strings.Fields(v.tool(b, nil, "psql", "-X", "-A", "-t", "-c", "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'", admin)) {
		if err := os.WriteFile(filepath.Join(secrets, role+".password"), []byte(role), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	v.tool(b, []string{"SUPERUSER_URL=" + admin, "SECRETS_DIR=" + secrets}, v.program(b, "./sql"), "init")
	v.tool(b, []string{"MIGRATE_URL=" + p.URL("migrator")}, v.program(b, "./sql"), "migrate", "up")
	return p
}

// tool runs a program to its end and returns what it prints.
func (v *build) tool(b *testing.B, environment []string, name string, args ...string) string {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	var out, complaint strings.Builder
	c.Env, c.Stdout, c.Stderr = append(os.Environ(), environment...), &out, &complaint
	err := testenv.Start(c)
	if err == nil {
		err = c.Wait()
	}
	if err != nil {
		b.Fatalf("%s %v: %v\n%s%s", name, args, err, &out, &complaint)
	}
	return out.String()
}

// redisSetting is a line of redis.conf that says how a structure is stored, or when the log is rewritten.
var redisSetting = regexp.MustCompile(`(?m)^(zset-max-\S+|hash-max-\S+|stream-\S+|auto-aof-\S+|rdbcompression) (\S+)$`)

// startRedis starts a Redis with those settings of the build.
func (v *build) startRedis(b *testing.B) *testenv.Redis {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(v.root, "deploy/redis/redis.conf"))
	if err != nil {
		b.Fatal(err)
	}
	var options []testenv.Option
	for _, m := range redisSetting.FindAllStringSubmatch(string(text), -1) {
		options = append(options, testenv.Set(m[1], m[2]))
	}
	return testenv.StartRedis(b, options...)
}

// startDoor starts HAProxy as the build configures it, before one instance of command and no query. It returns the address
// of the front door and HAProxy's process.
func (v *build) startDoor(b *testing.B, command, admin string) (addr string, pid int) {
	b.Helper()
	if v.release == nil {
		instances := []testenv.Instance{{Public: command, Admin: admin}} // nobody reads here
		h, url, _ := testenv.StartFrontDoor(b, testenv.FrontDoor{Command: instances, Query: instances})
		return strings.TrimPrefix(url, "http://"), h.PID()
	}
	return v.oldDoor(b, command, admin)
}

// mark is a place that the shell of an early commit fills in.
var mark = regexp.MustCompile(`@[A-Z_]+@`)

// oldDoor is the front door of a commit that fills in its configuration by shell. Later ones do so in Go, which another
// program can't call.
func (v *build) oldDoor(b *testing.B, command, admin string) (addr string, pid int) {
	b.Helper()
	dir := b.TempDir()
	addr = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
	values := map[string]string{"@HAPROXY_MAXCONN@": "4000", "@RUN@": dir, "@CONF@": dir, "@HTTP_PORT@": port(addr), "@STATS_PORT@": strconv.Itoa(testenv.FreePort(b)),
		"@COMMAND_PORT@": port(command), "@COMMAND_ADMIN_PORT@": port(admin), "@QUERY_PORT@": "1", "@QUERY_ADMIN_PORT@": "1"}
	conf := filepath.Join(dir, "haproxy")
	if err := os.Mkdir(conf, 0o700); err != nil {
		b.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(v.root, "deploy/haproxy", name))
		if err != nil {
			b.Fatal(err)
		}
		return string(text)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(conf, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	config := read("haproxy.cfg")
	marks := mark.FindAllString(config, -1)
	if len(marks) == 0 || slices.ContainsFunc(marks, func(name string) bool { return values[name] == "" }) {
		b.Fatalf("the front door of %s can't be rebuilt: choose an earlier commit, or BENCH_DOOR=no", v.name)
	}
	for _, code := range []string{"400", "408", "413", "500", "502", "503", "504"} {
		write(code+".http", "HTTP/1.1 "+code+" Error\r\nContent-Length: 0\r\n\r\n")
	}
	for _, name := range []string{"allow.map", "static.html"} {
		write(name, read(name))
	}
	return addr, testenv.StartHAProxy(b, mark.ReplaceAllStringFunc(config, func(name string) string { return values[name] }), addr).PID()
}

func port(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }
