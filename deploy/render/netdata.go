package main

import (
	"fmt"
	"path/filepath"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// netdata is its program's name, and the value of MONITOR that asks for it.
const netdata = "netdata"

// addNetdata adds the folder of netdata, if it is asked for. It has the certificate of Prometheus.
func (s stack) addNetdata(conf deploy.Files) error {
	if s.Monitor != netdata {
		return nil
	}
	n := deploy.Netdata{
		Address: deploy.Address{Port: s.NetdataPort}, User: s.osUser, Conf: filepath.Join(s.Conf, netdata), Data: filepath.Join(s.Data, netdata),
		Stats: deploy.Address{Port: s.StatsPort}, Stack: s.Conf, Program: filepath.Join(s.Bin, "prometheus.plugin"), TLS: s.tls("prometheus"),
	}
	for _, service := range s.services() {
		for i, instance := range s.instances(service) {
			n.Targets = append(n.Targets, deploy.NamedTarget{
				Name: fmt.Sprintf("%s-%d", service.name, i+1), Address: deploy.Address{Host: instance.Host, Port: instance.AdminPort},
			})
		}
	}
	return add(conf, netdata)(n.Files())
}
