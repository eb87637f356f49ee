package deploy

import (
	"errors"
	"strings"
)

// Netdata watches the machine that the stack is on.
type Netdata struct {
	Address
	User  string  // who it runs as
	Conf  string  // the folder of its files
	Data  string  // the folder of what it keeps; it makes the folders below
	Stats Address // of HAProxy's statistics
	Stack string  // the folder that holds the configurations of the database nodes and links
	// Program becomes the plugin that asks Targets for figures (deploy/netdata/prometheus.plugin).
	Program string
	Targets []NamedTarget
	TLS     *TLS // all targets speak TLS, too
}

// NamedTarget is a program with figures for Prometheus, and the name of its charts.
type NamedTarget struct {
	Name string
	Address
}

// Scheme is that of the targets' URLs.
func (n Netdata) Scheme() string {
	if n.TLS == nil {
		return "http"
	}
	return "https"
}

// Files is its whole configuration. Its plugins are in a folder of their own, so that no other plugin is started.
func (n Netdata) Files() (Files, error) {
	if n.Program == "" || strings.ContainsAny(n.Program, "'\n") {
		return nil, errors.New("netdata: the program of the plugin is no path that a script can hold")
	}
	n.Host, n.Stats.Host = orLoopback(n.Host), orLoopback(n.Stats.Host)
	n.Targets = append([]NamedTarget(nil), n.Targets...)
	for i := range n.Targets {
		n.Targets[i].Host = orLoopback(n.Targets[i].Host)
	}
	files := Files{
		// Debian's own sign that no statistics about users are to be sent.
		".opt-out-from-anonymous-statistics": {Mode: 0o644},
		"plugins.d/prometheus.plugin":        {Content: "#!/bin/sh\nexec '" + n.Program + "' \"$@\"\n", Mode: 0o755},
	}
	var errs []error
	for name, source := range map[string]string{
		"netdata.conf": "netdata.conf", "apps_groups.conf": "apps_groups.conf", "python.d.conf": "python.d.conf",
		"python.d/haproxy.conf": "haproxy.conf", "prometheus.conf": "prometheus.conf",
	} {
		errs = append(errs, files.add(name, "netdata/"+source, 0o644, false, n))
	}
	for _, plugin := range []string{"apps.plugin", "python.d.plugin"} {
		errs = append(errs, files.add("plugins.d/"+plugin, "netdata/plugin.sh", 0o755, false, n))
	}
	return files, errors.Join(errs...)
}
