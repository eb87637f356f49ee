package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/cors"
)

// settings are what deploy/local/lib.sh has settled.
type settings struct {
	LocalDir    string `env:"LOCAL_DIR,required,notEmpty"`
	Data        string `env:"DATA,required,notEmpty"`
	Logs        string `env:"LOGS,required,notEmpty"`
	Run         string `env:"RUN,required,notEmpty"`
	Conf        string `env:"CONF,required,notEmpty"`
	Secrets     string `env:"SECRETS,required,notEmpty"`
	Backups     string `env:"BACKUPS,required,notEmpty"`
	PGUser      string `env:"PG_USER,required,notEmpty"`
	PGVersion   int    `env:"PG_VERSION,required,notEmpty"`
	NodeProgram string `env:"NODE_PROGRAM,required,notEmpty"`
	// Starter is what supervisor starts each of the programs with.
	Starter  string   `env:"STARTER,required,notEmpty"`
	Programs []string `env:"PROGRAMS,required,notEmpty" envSeparator:" "`
	// Replicas is the number of instances of each service.
	Replicas int    `env:"REPLICAS,required,notEmpty"`
	Links    string `env:"LINKS"` // yes: the nodes reach each other through links
	TLS      string `env:"TLS"`   // yes: every part speaks TLS
	// Monitor is netdata if it watches the machine. Bin is the folder of the programs.
	Monitor string `env:"MONITOR"`
	Bin     string `env:"BIN"`

	// Of several instances these are the ports of the first.
	HTTPPort       int `env:"HTTP_PORT,required,notEmpty"`
	StatsPort      int `env:"STATS_PORT,required,notEmpty"`
	CommandPort    int `env:"COMMAND_PORT,required,notEmpty"`
	QueryPort      int `env:"QUERY_PORT,required,notEmpty"`
	ReplicatorPort int `env:"REPLICATOR_PORT,required,notEmpty"`
	Node1Port      int `env:"NODE1_PORT,required,notEmpty"`
	Node2Port      int `env:"NODE2_PORT,required,notEmpty"`
	WitnessPort    int `env:"WITNESS_PORT,required,notEmpty"`
	PgpoolPort     int `env:"PGPOOL_PORT,required,notEmpty"`
	PCPPort        int `env:"PCP_PORT,required,notEmpty"`
	RedisPort      int `env:"REDIS_PORT,required,notEmpty"`
	PrometheusPort int `env:"PROMETHEUS_PORT,required,notEmpty"`
	ExporterPort   int `env:"EXPORTER_PORT,required,notEmpty"`
	// Without their ports there are no Alertmanager and no exporter of the machine.
	AlertmanagerPort int `env:"ALERTMANAGER_PORT"`
	HostPort         int `env:"HOST_PORT"`
	// LinkPort is the first of six, two for each link.
	LinkPort    int `env:"LINK_PORT"`
	NetdataPort int `env:"NETDATA_PORT"`
}

// adminOffset is from a service's port to that of its admin listener, instanceOffset from one instance to the next.
const adminOffset, instanceOffset = 1000, 10

// Check looks at the ports and at what has few values. A port that is missing is 0 and already reported.
func (s *settings) Check() []error {
	var errs []error
	for name, port := range map[string]int{
		"HTTP_PORT": s.HTTPPort, "STATS_PORT": s.StatsPort, "COMMAND_PORT": s.CommandPort, "QUERY_PORT": s.QueryPort,
		"REPLICATOR_PORT": s.ReplicatorPort, "NODE1_PORT": s.Node1Port, "NODE2_PORT": s.Node2Port, "WITNESS_PORT": s.WitnessPort,
		"PGPOOL_PORT": s.PgpoolPort, "PCP_PORT": s.PCPPort, "REDIS_PORT": s.RedisPort, "PROMETHEUS_PORT": s.PrometheusPort,
		"EXPORTER_PORT": s.ExporterPort, "LINK_PORT": s.LinkPort, "ALERTMANAGER_PORT": s.AlertmanagerPort, "HOST_PORT": s.HostPort, "NETDATA_PORT": s.NetdataPort,
	} {
		if port < 0 || port > 65535 {
			errs = append(errs, fmt.Errorf("%s=%d is not a port", name, port))
		}
	}
	if s.Replicas < 0 || s.Replicas > 9 {
		errs = append(errs, fmt.Errorf("REPLICAS=%d is not a number from 1 to 9", s.Replicas))
	}
	if s.Links != "" && s.Links != "yes" && s.Links != "no" {
		errs = append(errs, fmt.Errorf("LINKS=%s is neither yes nor no", s.Links))
	}
	if s.TLS != "" && s.TLS != "yes" && s.TLS != "no" {
		errs = append(errs, fmt.Errorf("TLS=%s is neither yes nor no", s.TLS))
	}
	if s.Monitor != "" && s.Monitor != "no" && s.Monitor != "netdata" {
		errs = append(errs, fmt.Errorf("MONITOR=%s is neither netdata nor no", s.Monitor))
	}
	if s.Links == "yes" && s.LinkPort == 0 {
		errs = append(errs, errors.New("LINK_PORT is missing, and LINKS is yes"))
	}
	_, limitsErr := localLimits(os.Getenv)
	_, originsErr := readOrigins(os.Getenv)
	return append(errs, limitsErr, originsErr, deploy.CheckWebhook(os.Getenv("ALERT_WEBHOOK")))
}

// readOrigins are those whose pages may use the API besides the front door's own. HAProxy and query get the same list.
func readOrigins(getenv func(string) string) (cors.Origins, error) {
	list, err := cors.Parse(getenv("CORS_ORIGINS"))
	if err != nil {
		return nil, fmt.Errorf("CORS_ORIGINS: %w", err)
	}
	return list, nil
}

// localLimits are the limits of the local stack's front door. Load levels come from one address, so here one address may
// use the whole front door, unless the settings say otherwise. The front door shares the cores with all other programs, and
// each further thread costs it time.
func localLimits(getenv func(string) string) (deploy.Limits, error) {
	return deploy.ReadLimits(func(name string) string {
		switch value := getenv(name); {
		case value != "":
			return value
		case name == "FRONT_THREADS":
			return strconv.Itoa(max(1, runtime.NumCPU()/2))
		case strings.HasPrefix(name, "ADDRESS_"):
			return "1000000"
		}
		return ""
	}, descriptors())
}
