package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// stack is a whole deployment: the local stack, or the one of deploy/compose.
type stack struct {
	*settings
	machine
	layout
	passwords passwords
	getenv    func(string) string
}

func (s stack) instances(service service) []deploy.Instance {
	list := make([]deploy.Instance, s.Replicas)
	for i := range list {
		at := deploy.Address{Host: s.host(fmt.Sprintf("%s-%d", service.name, i+1)), Port: s.portOf(service.port, instanceOffset*i)}
		list[i] = deploy.Instance{Address: at, AdminPort: at.Port + adminOffset}
	}
	return list
}

// configurations are the files of the folder CONF.
func (s stack) configurations() (deploy.Files, error) {
	door, err := s.frontDoor()
	if err != nil {
		return nil, err
	}
	pgpool := deploy.Pgpool{
		Address: s.listener(s.PgpoolPort), PCPPort: s.PCPPort, Run: s.Run, Nodes: s.databaseNodes(), Clients: s.clients,
		Passwords: map[string]string{"query": s.passwords["query"], "pgpool": s.passwords["pgpool"]},
		TLS:       s.tls("pgpool"), Settings: s.poolerSettings(),
	}
	redis := deploy.Redis{
		Address: s.listener(s.RedisPort), Data: filepath.Join(s.Data, "redis"), MaxMemoryMB: s.part(1, 3, 512, 16384),
		Conf: filepath.Join(s.Conf, s.folderOf("redis")), TLS: s.tls("redis"), Passwords: s.redisPasswords(),
	}
	conf := deploy.Files{}
	if err := s.addNodes(conf); err != nil {
		return nil, err
	}
	if err := add(conf, "pgpool")(pgpool.Files()); err != nil {
		return nil, err
	}
	if err := add(conf, s.folderOf("redis"))(redis.Files()); err != nil {
		return nil, err
	}
	if err := add(conf, "haproxy")(door.Files()); err != nil {
		return nil, err
	}
	if err := s.addPrometheus(conf); err != nil {
		return nil, err
	}
	if s.apart {
		return conf, nil
	}
	if err := s.addNetdata(conf); err != nil {
		return nil, err
	}
	return conf, add(conf, "")(s.supervisor().Files())
}

func (s stack) frontDoor() (deploy.FrontDoor, error) {
	limits, limitsErr := s.frontDoorLimits()
	origins, originsErr := readOrigins(s.getenv)
	return deploy.FrontDoor{
		Address: s.listener(s.HTTPPort), StatsPort: s.StatsPort, Conf: filepath.Join(s.Conf, "haproxy"), Run: s.Run,
		Command: s.instances(s.command()), Query: s.instances(s.query()), Limits: limits, Origins: origins, TLS: s.tls("haproxy"),
	}, errors.Join(limitsErr, originsErr)
}

// addPrometheus adds the folder of Prometheus, that of the exporters if they are apart, and that of Alertmanager.
func (s stack) addPrometheus(conf deploy.Files) error {
	alerts := deploy.Address{Host: s.host("alertmanager"), Port: s.AlertmanagerPort}
	files, err := deploy.Prometheus{Jobs: s.jobs(), Alertmanager: alerts, TLS: s.tls("prometheus"), Exporter: s.tls("exporter")}.Files()
	for name, file := range files {
		folder := "prometheus"
		if name == "queries.yaml" || name == "exporter-web.yml" {
			folder = s.folderOfExporter()
		}
		conf[filepath.Join(folder, name)] = file
	}
	if err != nil || s.AlertmanagerPort == 0 {
		return err
	}
	return add(conf, "alertmanager")(deploy.Alertmanager{Webhook: s.getenv("ALERT_WEBHOOK"), TLS: s.tls("alertmanager")}.Files())
}

// serviceInterval is how often Prometheus asks the services. ReadModelLag must fire within 15 s.
const serviceInterval = "2s"

func (s stack) folderOfExporter() string {
	if s.apart {
		return "exporter"
	}
	return "prometheus"
}

// supervisor keeps the programs of a stack that is on one machine.
func (s stack) supervisor() deploy.Supervisor {
	supervisor := deploy.Supervisor{
		LocalDir: s.LocalDir, Logs: s.Logs, Run: s.Run, Descriptors: descriptors(), PGVersion: s.PGVersion, Starter: s.Starter, Programs: s.Programs,
	}
	if s.osUser == "root" {
		supervisor.User = s.osUser
	}
	return supervisor
}

// jobs are what Prometheus asks.
func (s stack) jobs() []deploy.Job {
	jobs := []deploy.Job{s.alone("haproxy", s.StatsPort)}
	for _, service := range s.services() {
		job := deploy.Job{Name: service.name, Interval: serviceInterval}
		for _, i := range s.instances(service) {
			job.Targets = append(job.Targets, deploy.Target{Address: deploy.Address{Host: i.Host, Port: i.AdminPort}})
		}
		jobs = append(jobs, job)
	}
	postgres := deploy.Job{Name: "postgres"}
	for i, node := range s.databaseNodes() {
		postgres.Targets = append(postgres.Targets, deploy.Target{
			Address: deploy.Address{Host: s.host(fmt.Sprintf("exporter-%d", i+1)), Port: s.portOf(s.ExporterPort, i)}, Node: node.Name,
		})
	}
	jobs = append(jobs, postgres)
	if s.AlertmanagerPort != 0 {
		jobs = append(jobs, s.alone("alertmanager", s.AlertmanagerPort))
	}
	if s.HostPort != 0 {
		jobs = append(jobs, s.alone("host", s.HostPort))
	}
	return jobs
}

// alone is a job of one program.
func (s stack) alone(name string, port int) deploy.Job {
	return deploy.Job{Name: name, Targets: []deploy.Target{{Address: deploy.Address{Host: s.host(name), Port: port}}}}
}

// poolerSettings are those of pgpool-II on this machine. It starts all its children anew whenever a node comes or goes, so it has
// only as many as the pools of query may need here (bidbook.Conns), twice because a pool that was reset has its old sessions
// beside its new ones, and some for the load tester.
func (s stack) poolerSettings() []deploy.Setting {
	if s.apart {
		return nil
	}
	children := min(96, 32+8*max(runtime.NumCPU(), s.Replicas))
	return []deploy.Setting{{Name: "num_init_children", Value: strconv.Itoa(children)}}
}
