package main

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
)

// setUp sets the whole environment, with what a test changes.
func setUp(t *testing.T, changes ...string) {
	t.Helper()
	for _, pair := range append([]string{
		"LOCAL_DIR=/local", "LOGS=/log", "DATA=/data", "RUN=/run", "CONF=/conf", "SECRETS=/secrets", "BACKUPS=/backups", "PG_USER=postgres", "PG_VERSION=15", "NODE_PROGRAM=/bin/node",
		"STARTER=/a %folder/run", "PROGRAMS=witness agent-3 postgres-1 redis pgpool haproxy",
		"REPLICAS=2", "LINKS=", "HTTP_PORT=8080", "STATS_PORT=8404", "COMMAND_PORT=8081", "QUERY_PORT=8082", "REPLICATOR_PORT=8083",
		"NODE1_PORT=15432", "NODE2_PORT=15433", "WITNESS_PORT=15434", "PGPOOL_PORT=15439", "PCP_PORT=15438", "REDIS_PORT=16379",
		"PROMETHEUS_PORT=19090", "ALERTMANAGER_PORT=19093", "EXPORTER_PORT=19187", "HOST_PORT=19100", "LINK_PORT=15441", "NETDATA_PORT=19999", "BIN=/bin", "MONITOR=",
	}, changes...) {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
}

func rendered(t *testing.T) (conf, secrets deploy.Files) {
	t.Helper()
	s, err := env.Parse(&settings{})
	if err != nil {
		t.Fatal(err)
	}
	p := passwords{}
	for _, role := range roles {
		p[role] = "of-" + role
	}
	stack := stack{settings: s, machine: machine{memoryMB: 4096, osUser: "root"}, passwords: p, getenv: os.Getenv}
	if conf, err = stack.configurations(); err != nil {
		t.Fatal(err)
	}
	if secrets, err = stack.environments(2); err != nil {
		t.Fatal(err)
	}
	return conf, secrets
}

func TestWrongSettingsAreReportedTogether(t *testing.T) {
	setUp(t, "HTTP_PORT=eighty", "REDIS_PORT=70000", "REPLICAS=10", "LINKS=perhaps", "MONITOR=all", "BODY_TIME=soon", "CONF=", "CORS_ORIGINS=*,https://a.example/")
	_, err := env.Parse(&settings{})
	for _, name := range []string{"HTTPPort", "REDIS_PORT", "REPLICAS", "LINKS", "MONITOR", "BODY_TIME", "CONF", `"*"`, `"https://a.example/"`} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported: %v", name, err)
		}
	}
}

func TestEachInstanceHasItsPorts(t *testing.T) {
	setUp(t)
	conf, secrets := rendered(t)
	for file, want := range map[string]string{
		"command-1.env": "LISTEN_ADDR='127.0.0.1:8081'\nADMIN_ADDR='127.0.0.1:9081'\n", "command-2.env": "LISTEN_ADDR='127.0.0.1:8091'\nADMIN_ADDR='127.0.0.1:9091'\n",
		"query-2.env":      "JWKS_URL='http://127.0.0.1:8080/.well-known/jwks.json'",
		"replicator-1.env": "OPS_PEERS='http://127.0.0.1:9082,http://127.0.0.1:9092,http://127.0.0.1:8093'\n",
		"query-1.env":      "OPS_PEERS='http://127.0.0.1:9092,http://127.0.0.1:8083,http://127.0.0.1:8093'\n",
		"exporter-2.env":   "DATA_SOURCE_NAME='postgres://exporter@127.0.0.1:15433/pyramid?sslmode=disable'",
		"migrator.env":     "migrator@127.0.0.1:15432,127.0.0.1:15433/pyramid?sslmode=disable&target_session_attrs=read-write'",
	} {
		if got := secrets[file]; !strings.Contains(got.Content, want) || got.Mode != 0o600 {
			t.Errorf("%s (%v) lacks %s:\n%s", file, got.Mode, want, got.Content)
		}
	}
	for _, target := range []string{"9081", "9091", "9083", "9093", "19187", "19188"} {
		if !strings.Contains(conf["prometheus/prometheus.yml"].Content, `"127.0.0.1:`+target+`"`) {
			t.Errorf("Prometheus does not ask %s", target)
		}
	}
	setUp(t, "REPLICAS=1")
	if _, secrets = rendered(t); secrets["command-2.env"].Content != "" {
		t.Error("a second instance with REPLICAS=1")
	}
}

// What make up is given about logs and traces gets to all services.
func TestServicesAreToldWhereTracesGo(t *testing.T) {
	given := []string{"LOG_LEVEL=debug", "LOG_SAMPLE=10", "LOG_SLOW=2s", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318",
		"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1", "TRACE_CLIENTS=true"}
	setUp(t, given...)
	_, secrets := rendered(t)
	for _, file := range []string{"command-1.env", "query-2.env", "replicator-1.env"} {
		for _, pair := range given {
			if line := strings.Replace(pair, "=", "='", 1) + "'\n"; !strings.Contains(secrets[file].Content, line) {
				t.Errorf("%s lacks %s", file, line)
			}
		}
	}
}

// No file of environment variables holds a password or a key.
func TestNoEnvironmentHoldsASecret(t *testing.T) {
	setUp(t, "TLS=yes")
	conf, secrets := rendered(t)
	for folder, files := range map[string]deploy.Files{"conf": conf, "secrets": secrets, "containers": composeRendered(t)} {
		for name, file := range files {
			if !strings.HasSuffix(name, ".env") {
				continue
			}
			for _, secret := range secretText {
				if found := secret.FindString(file.Content); found != "" {
					t.Errorf("%s/%s has %q", folder, name, found)
				}
			}
		}
	}
	if name := "query.redis-url"; !secretText[0].MatchString(secrets[name].Content) || secrets[name].Mode != 0o600 {
		t.Errorf("%s: %+v", name, secrets[name])
	}
}

// secretText are the passwords that the tests make or that render makes, a password in a URL, and a key.
var secretText = []*regexp.Regexp{regexp.MustCompile(`:of-`), regexp.MustCompile(`[0-9a-f]{48}`), regexp.MustCompile(`://[^/@]*:[^/@]*@`), regexp.MustCompile(`PRIVATE KEY`)}

// The instances of a service share the cores of the machine, unless the operator says how many threads each has. Of the
// replicators only one works.
func TestInstancesShareTheCores(t *testing.T) {
	replicators := map[string]string{"GOMAXPROCS=5": "5"}
	for settings, want := range map[string]string{"REPLICAS=1": "2", "REPLICAS=2": "1", "REPLICAS=3": "1", "GOMAXPROCS=5": "5"} {
		setUp(t, "GOMAXPROCS=", settings)
		_, secrets := rendered(t)
		for name, want := range map[string]string{"command-1.env": want, "query-1.env": want, "replicator-1.env": cmp.Or(replicators[settings], "2")} {
			if !strings.Contains(secrets[name].Content, "GOMAXPROCS='"+want+"'\n") {
				t.Errorf("%s: %s lacks GOMAXPROCS=%s:\n%s", settings, name, want, secrets[name].Content)
			}
		}
	}
}

// With links no node has the address of another, and both ways of each link end at the right node.
func TestLinksStandBetweenAllNodes(t *testing.T) {
	setUp(t, "LINKS=yes")
	conf, _ := rendered(t)
	own := map[string]string{"node1": "15432", "node2": "15433", "witness": "15434"}
	for from := range own {
		sections := strings.Split(conf[filepath.Join(from, "pg_service.conf")].Content, "\n[")[1:]
		for _, section := range sections {
			to, rest, _ := strings.Cut(section, "]")
			_, port, _ := strings.Cut(rest, "port=")
			port, _, _ = strings.Cut(port, "\n")
			if from == to && port != own[to] {
				t.Errorf("%s finds itself at %s", from, port)
			}
			way := "    bind 127.0.0.1:" + port + "\n    server " + from + "-to-" + to + " 127.0.0.1:" + own[to] + "\n"
			all := conf["links/link-1.cfg"].Content + conf["links/link-2.cfg"].Content + conf["links/link-3.cfg"].Content
			if from != to && !strings.Contains(all, way) {
				t.Errorf("no link has\n%s", way)
			}
		}
		if len(sections) != 3 {
			t.Errorf("%s knows %d nodes", from, len(sections))
		}
	}
}

// pgpool-II takes a node back when it finds the node's name in the primary's pg_stat_replication.
func TestNodesHaveOneName(t *testing.T) {
	setUp(t)
	conf, _ := rendered(t)
	for i, name := range []string{"node1", "node2"} {
		pool := "backend_application_name" + string(rune('0'+i)) + " = '" + name + "'"
		if !strings.Contains(conf["pgpool/pgpool.conf"].Content, pool) {
			t.Errorf("pgpool.conf lacks %s", pool)
		}
		for _, line := range []string{"application_name=" + name + "'", "primary_slot_name = '" + name + "'"} {
			if !strings.Contains(conf[name+"/postgresql.conf"].Content, line) {
				t.Errorf("%s lacks %s", name, line)
			}
		}
	}
}

// netdata has files only if it is asked for. With TLS it speaks TLS and trusts the stack's authority.
func TestNetdataIsAskedFor(t *testing.T) {
	setUp(t)
	conf, _ := rendered(t)
	for name := range conf {
		if strings.HasPrefix(name, "netdata/") {
			t.Errorf("%s is there without MONITOR=netdata", name)
		}
	}
	setUp(t, "MONITOR=netdata")
	conf, secrets := rendered(t)
	for name, want := range map[string]string{
		"netdata.conf": "bind to = 127.0.0.1:19999\n", "apps_groups.conf": "postgres-2: */conf/node2/postgresql.conf*\n",
		"python.d/haproxy.conf": "url: 'http://127.0.0.1:8404/;csv;norefresh'\n", "plugins.d/prometheus.plugin": "exec '/bin/prometheus.plugin' ",
		"prometheus.conf": "\nquery-2 http://127.0.0.1:9092/metrics\n",
	} {
		if got := conf["netdata/"+name]; !strings.Contains(got.Content, want) {
			t.Errorf("%s lacks %q:\n%s", name, want, got.Content)
		}
	}
	if got := secrets["netdata.env"].Content; got != "" {
		t.Errorf("its environment: %s", got)
	}
	setUp(t, "MONITOR=netdata", "TLS=yes")
	conf, secrets = rendered(t)
	for name, want := range map[string]string{
		"netdata.conf": "bind to = 127.0.0.1:19999=dashboard|registry|badges|netdata.conf^SSL=force\n", "python.d/haproxy.conf": "https://127.0.0.1:8404/;csv;norefresh'\n  tls_ca_file: /conf/tls/ca.crt\n", "prometheus.conf": "\nquery-2 https://127.0.0.1:9092/metrics\n",
	} {
		if got := conf["netdata/"+name]; !strings.Contains(got.Content, want) {
			t.Errorf("with TLS %s lacks %q:\n%s", name, want, got.Content)
		}
	}
	if got := secrets["netdata.env"].Content; !strings.Contains(got, "SSL_CERT_FILE='/conf/tls/ca.crt'") {
		t.Errorf("its environment with TLS: %s", got)
	}
}
