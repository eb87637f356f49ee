package main

import (
	"path/filepath"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// stack is the local stack: everything on one machine.
type stack struct {
	*settings
	machine
	passwords passwords
	getenv    func(string) string
}

func (s stack) instances(first int) []deploy.Instance {
	list := make([]deploy.Instance, s.Replicas)
	for i := range list {
		port := first + instanceOffset*i
		list[i] = deploy.Instance{Address: deploy.Address{Port: port}, AdminPort: port + adminOffset}
	}
	return list
}

// configurations are the files of the folder CONF.
func (s stack) configurations() (deploy.Files, error) {
	limits, err := frontDoorLimits(s.getenv)
	if err != nil {
		return nil, err
	}
	door := deploy.FrontDoor{
		Address: deploy.Address{Port: s.HTTPPort}, StatsPort: s.StatsPort, Conf: filepath.Join(s.Conf, "haproxy"), Run: s.Run,
		Command: s.instances(s.CommandPort), Query: s.instances(s.QueryPort), Limits: limits, TLS: s.tls("haproxy"),
	}
	pgpool := deploy.Pgpool{
		Address: deploy.Address{Port: s.PgpoolPort}, PCPPort: s.PCPPort, Run: s.Run, Nodes: s.databaseNodes(),
		Passwords: map[string]string{"query": s.passwords["query"], "pgpool": s.passwords["pgpool"]},
		TLS:       s.tls("pgpool"),
	}
	redis := deploy.Redis{
		Address: deploy.Address{Port: s.RedisPort}, Data: filepath.Join(s.Data, "redis"), MaxMemoryMB: s.part(1, 3, 512, 16384),
		Conf: s.Conf, TLS: s.tls("redis"), Passwords: s.redisPasswords(),
	}
	supervisor := deploy.Supervisor{
		LocalDir: s.LocalDir, Logs: s.Logs, Run: s.Run, Descriptors: descriptors(), PGVersion: s.PGVersion, Starter: s.Starter, Programs: s.Programs,
	}
	if s.osUser == "root" {
		supervisor.User = s.osUser
	}
	conf := deploy.Files{}
	if err := s.addNodes(conf); err != nil {
		return nil, err
	}
	if err := add(conf, "pgpool")(pgpool.Files()); err != nil {
		return nil, err
	}
	if err := add(conf, "")(redis.Files()); err != nil {
		return nil, err
	}
	if err := add(conf, "")(supervisor.Files()); err != nil {
		return nil, err
	}
	if err := add(conf, "haproxy")(door.Files()); err != nil {
		return nil, err
	}
	return conf, add(conf, "prometheus")(deploy.Prometheus{Jobs: s.jobs(), TLS: s.tls("prometheus"), Exporter: s.tls("exporter")}.Files())
}

// jobs are what Prometheus asks.
func (s stack) jobs() []deploy.Job {
	jobs := []deploy.Job{{Name: "haproxy", Targets: []deploy.Target{{Address: deploy.Address{Port: s.StatsPort}}}}}
	for _, service := range s.services() {
		job := deploy.Job{Name: service.name}
		for _, i := range s.instances(service.port) {
			job.Targets = append(job.Targets, deploy.Target{Address: deploy.Address{Port: i.AdminPort}})
		}
		jobs = append(jobs, job)
	}
	postgres := deploy.Job{Name: "postgres"}
	for i, node := range s.databaseNodes() {
		postgres.Targets = append(postgres.Targets, deploy.Target{Address: deploy.Address{Port: s.ExporterPort + i}, Node: node.Name})
	}
	return append(jobs, postgres)
}
