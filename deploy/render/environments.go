package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// service is one of the project's services. port is that of its first instance.
type service struct {
	name string
	port int
}

func (s stack) services() []service {
	return []service{s.command(), s.query(), {"replicator", s.ReplicatorPort}}
}

func (s stack) command() service { return service{"command", s.CommandPort} }

func (s stack) query() service { return service{"query", s.QueryPort} }

// environments are the files of the folder SECRETS, but for the passwords. The environments themselves hold no secret: they
// name the files that do.
func (s stack) environments(cores int) (deploy.Files, error) {
	files := s.secretFiles()
	for name, environment := range s.settingsOfAll(cores) {
		file, err := environment.File()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = file
	}
	return files, nil
}

const passFile, redisFile = "pgpass", "redis-url"

// secretFiles are what each program reads its password of PostgreSQL from, for each connection, so that a password can be
// changed while the program runs; and the URL of Redis, if it has a password.
func (s stack) secretFiles() deploy.Files {
	secret := func(content string) deploy.File { return deploy.File{Content: content + "\n", Mode: 0o600} }
	files := deploy.Files{passFile: secret(fmt.Sprintf("%s:%d:*:query:%s", deploy.Loopback, s.PgpoolPort, s.passwords["query"]))}
	for _, program := range []string{"command", "query", "replicator", "migrator", "exporter"} {
		files[program+"."+passFile] = secret("*:*:*:" + program + ":" + s.passwords[program])
	}
	if s.TLS == "yes" {
		for _, program := range []string{"query", "replicator"} {
			files[program+"."+redisFile] = secret(s.redisURL(program))
		}
	}
	return files
}

// settingsOfAll are the environments of all programs, by the names of their files.
func (s stack) settingsOfAll(cores int) map[string]deploy.Environment {
	all := map[string]deploy.Environment{
		"migrator.env": {
			"MIGRATE_URL=" + s.writable("migrator"),
			"SEED_URL=" + s.writable("migrator"),
			"PGPASSFILE=" + s.secret("migrator", passFile),
		},
	}
	for _, service := range s.services() {
		for i, instance := range s.instances(service) {
			environment := deploy.Environment{
				"LISTEN_ADDR=" + s.listener(instance.Port).String(),
				"ADMIN_ADDR=" + s.listener(instance.AdminPort).String(),
				"PRIMARY_URL=" + s.writable(service.name),
				"PGPASSFILE=" + s.secret(service.name, passFile),
			}
			environment = append(environment, s.special(service.name)...)
			environment = append(environment, s.page(service.name, i)...)
			environment = append(environment, s.serving(service.name)...)
			all[fmt.Sprintf("%s-%d.env", service.name, i+1)] = append(environment, s.given(service.name, cores)...)
		}
	}
	if s.Monitor == netdata {
		all["netdata.env"] = s.serving("prometheus")
	}
	for i, node := range s.databaseNodes() {
		all[fmt.Sprintf("exporter-%d.env", i+1)] = deploy.Environment{
			"PG_EXPORTER_EXTEND_QUERY_PATH=" + filepath.Join(s.Conf, s.folderOfExporter(), "queries.yaml"),
			"DATA_SOURCE_NAME=" + s.databaseURL("exporter", []deploy.Address{node.Address}),
			"PGPASSFILE=" + s.secret("exporter", passFile),
		}
	}
	return all
}

// writable leads to the node that takes writes.
func (s stack) writable(role string) string {
	return s.databaseURL(role, []deploy.Address{s.address(0), s.address(1)}, "target_session_attrs", "read-write")
}

// special is what only this service needs.
func (s stack) special(name string) deploy.Environment {
	redis := "REDIS_URL=" + s.redisURL(name)
	if s.TLS == "yes" {
		redis = "REDIS_URL_FILE=" + s.secret(name, redisFile)
	}
	switch name {
	case "command":
		return append(deploy.Environment{"JWT_KEYS_DIR=" + s.keys()}, s.wide()...)
	case "query":
		return append(deploy.Environment{
			"REPLICA_URL=" + s.databaseURL("query", []deploy.Address{{Host: s.host("pgpool"), Port: s.PgpoolPort}}),
			"STANDBY_URL=" + s.databaseURL("query", []deploy.Address{s.address(1), s.address(0)}, "target_session_attrs", "prefer-standby"),
			redis,
			s.publicKeys(),
			fmt.Sprintf("ALLOW_READ_PATH=%t", !s.apart),
			"CORS_ORIGINS=" + s.getenv("CORS_ORIGINS"),
		}, s.wide()...)
	}
	if s.apart { // its network has no way to the front door
		return deploy.Environment{redis}
	}
	return deploy.Environment{redis, s.publicKeys()}
}

// publicKeys is through the front door, so that the keys are there as long as one instance of command is.
func (s stack) publicKeys() string {
	return fmt.Sprintf("JWKS_URL=%s://%s/.well-known/jwks.json", s.scheme("http"), deploy.Address{Host: s.host("haproxy"), Port: s.HTTPPort})
}

// page names the pages of operators that an instance shows besides its own: those of all other instances of the replicator and
// of query, which has its page on the admin listener. Apart, a replicator's network has no way to query.
func (s stack) page(name string, own int) deploy.Environment {
	if name == "command" {
		return nil
	}
	var peers []string
	for _, of := range s.services() {
		if of.name == "command" || s.apart && name == "replicator" && of.name == "query" {
			continue
		}
		for i, instance := range s.instances(of) {
			at := instance.Address
			if of.name == "query" {
				at.Port = instance.AdminPort
			}
			if of.name != name || i != own {
				peers = append(peers, s.scheme("http")+"://"+at.String())
			}
		}
	}
	return deploy.Environment{"OPS_PEERS=" + strings.Join(peers, ",")}
}

// wide are the limits of a stack of one machine. Load levels come from one address and share logins, so the limits are wide
// unless the settings say otherwise.
func (s stack) wide() deploy.Environment {
	limits := s.getenv("RATE_LIMIT")
	if limits == "" && !s.apart {
		limits = "login=100/1000,login-address=1000/10000,read=1000000/1000000"
	}
	if limits == "" {
		return nil
	}
	return deploy.Environment{"RATE_LIMIT=" + limits}
}

// given are the settings of `make up` that a service knows, too. Its instances share the cores, but only one replicator works
// at a time.
func (s stack) given(service string, cores int) deploy.Environment {
	working := max(1, s.Replicas)
	if service == "replicator" {
		working = 1
	}
	own := strconv.Itoa(max(1, cores/working))
	otherwise := map[string]string{
		// All clients here have one address.
		"LIVE_ADDRESS_MAX": cmp.Or(s.getenv("LIVE_MAX"), "10000"),
		// Thousands of users of a load level log in before it begins.
		"LOGIN_CORES": own,
		// With more threads than its share, an instance wakes threads for nothing.
		"GOMAXPROCS": own,
	}
	if s.apart {
		otherwise = nil
	}
	var e deploy.Environment
	for _, name := range []string{
		"GOMAXPROCS", "LOG_LEVEL", "LOGIN_CORES", "REFRESH_TTL", "TRUSTED_PROXIES", "BID_LANES", "BID_QUEUE", "MIN_LSN_WAIT", "LIVE_MAX", "LIVE_ADDRESS_MAX", "VERIFY_INTERVAL", "OPS_HOSTS",
		"LOG_SAMPLE", "LOG_SLOW", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_RESOURCE_ATTRIBUTES", "TRACE_CLIENTS",
	} {
		if value := cmp.Or(s.getenv(name), otherwise[name]); value != "" {
			e = append(e, name+"="+value)
		}
	}
	return e
}
