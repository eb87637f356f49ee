package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"

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

// environments are the files of the folder SECRETS, but for the passwords.
func (s stack) environments(cores int) (deploy.Files, error) {
	all := map[string]deploy.Environment{
		"migrator.env": {
			"MIGRATE_URL=" + s.writable("migrator"),
			"SEED_URL=" + s.writable("migrator"),
		},
	}
	for _, service := range s.services() {
		for i, instance := range s.instances(service) {
			environment := deploy.Environment{
				"LISTEN_ADDR=" + s.listener(instance.Port).String(),
				"ADMIN_ADDR=" + s.listener(instance.AdminPort).String(),
				"PRIMARY_URL=" + s.writable(service.name),
			}
			if !s.apart { // a container has its secrets in one file
				environment = append(environment, "PGPASSFILE="+filepath.Join(s.Secrets, service.name+".pgpass"))
			}
			environment = append(environment, s.special(service.name)...)
			environment = append(environment, s.serving(service.name)...)
			all[fmt.Sprintf("%s-%d.env", service.name, i+1)] = append(environment, s.given(cores)...)
		}
	}
	for i, node := range s.databaseNodes() {
		all[fmt.Sprintf("exporter-%d.env", i+1)] = deploy.Environment{
			"PG_EXPORTER_EXTEND_QUERY_PATH=" + filepath.Join(s.Conf, "prometheus", "queries.yaml"),
			"DATA_SOURCE_NAME=" + s.databaseURL("exporter", []deploy.Address{node.Address}),
		}
	}
	files := deploy.Files{"pgpass": {
		Content: fmt.Sprintf("%s:%d:*:query:%s\n", deploy.Loopback, s.PgpoolPort, s.passwords["query"]), Mode: 0o600,
	}}
	// The services read it for each connection, so that a password can be changed while they run.
	for _, service := range s.services() {
		files[service.name+".pgpass"] = deploy.File{Content: fmt.Sprintf("*:*:*:%s:%s\n", service.name, s.passwords[service.name]), Mode: 0o600}
	}
	for name, environment := range all {
		file, err := environment.File()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = file
	}
	return files, nil
}

// writable leads to the node that takes writes.
func (s stack) writable(role string) string {
	return s.databaseURL(role, []deploy.Address{s.address(0), s.address(1)}, "target_session_attrs", "read-write")
}

// special is what only this service needs.
func (s stack) special(name string) deploy.Environment {
	redis := "REDIS_URL=" + s.redisURL(name)
	switch name {
	case "command":
		return append(deploy.Environment{"JWT_KEYS_DIR=" + s.keys()}, s.wide()...)
	case "query":
		return append(deploy.Environment{
			"REPLICA_URL=" + s.databaseURL("query", []deploy.Address{{Host: s.host("pgpool"), Port: s.PgpoolPort}}),
			"STANDBY_URL=" + s.databaseURL("query", []deploy.Address{s.address(1), s.address(0)}, "target_session_attrs", "prefer-standby"),
			redis,
			// Through the front door, so that the keys are there as long as one instance of command is.
			fmt.Sprintf("JWKS_URL=%s://%s/.well-known/jwks.json", s.scheme("http"), deploy.Address{Host: s.host("haproxy"), Port: s.HTTPPort}),
			fmt.Sprintf("ALLOW_READ_PATH=%t", !s.apart),
		}, s.wide()...)
	}
	return deploy.Environment{redis}
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

// given are the settings of `make up` that the services know, too.
func (s stack) given(cores int) deploy.Environment {
	own := strconv.Itoa(max(1, cores/max(1, s.Replicas)))
	otherwise := map[string]string{
		// All clients here have one address.
		"LIVE_ADDRESS_MAX": cmp.Or(s.getenv("LIVE_MAX"), "10000"),
		// Thousands of users of a load level log in before it begins.
		"LOGIN_CORES": own,
		// The instances share the cores. With more threads than its share, an instance wakes threads for nothing.
		"GOMAXPROCS": own,
	}
	if s.apart {
		otherwise = nil
	}
	var e deploy.Environment
	for _, name := range []string{
		"GOMAXPROCS", "LOG_LEVEL", "LOGIN_CORES", "TRUSTED_PROXIES", "BID_LANES", "BID_QUEUE", "MIN_LSN_WAIT", "LIVE_MAX", "LIVE_ADDRESS_MAX", "VERIFY_INTERVAL",
	} {
		if value := cmp.Or(s.getenv(name), otherwise[name]); value != "" {
			e = append(e, name+"="+value)
		}
	}
	return e
}
