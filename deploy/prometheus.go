package deploy

import "errors"

// Prometheus is what Prometheus asks for figures.
type Prometheus struct {
	Jobs []Job
	// Alertmanager gets the alerts, if it has a port.
	Alertmanager Address
	// TLS is that of Prometheus, Exporter that of the exporters. With TLS all targets speak it.
	TLS, Exporter *TLS
}

// Job is several targets of one kind.
type Job struct {
	Name string
	// Interval is how often they are asked, if not as often as the others.
	Interval string
	Targets  []Target
}

// Target is one program. Node, if it is not empty, is the database node that the program tells about.
type Target struct {
	Address
	Node string
}

// rules are the files of the alerts, in the order of docs/METRICS.md.
var rules = []string{"rules-users.yml", "rules-nodes.yml", "rules-readmodel.yml", "rules-servers.yml"}

// Files is the configuration of Prometheus and of the exporters.
func (p Prometheus) Files() (Files, error) {
	jobs := make([]Job, len(p.Jobs))
	for i, j := range p.Jobs {
		jobs[i].Name, jobs[i].Interval = j.Name, j.Interval
		for _, t := range j.Targets {
			t.Host = orLoopback(t.Host)
			jobs[i].Targets = append(jobs[i].Targets, t)
		}
	}
	files := Files{}
	p.Alertmanager.Host = orLoopback(p.Alertmanager.Host)
	if err := files.add("prometheus.yml", "prometheus/prometheus.yml", 0o644, false, struct {
		Prometheus
		Rules []string
	}{Prometheus{Jobs: jobs, Alertmanager: p.Alertmanager, TLS: p.TLS}, rules}); err != nil {
		return nil, err
	}
	for _, name := range append([]string{"queries.yaml"}, rules...) {
		if err := files.copy(name, "prometheus/"+name); err != nil {
			return nil, err
		}
	}
	if p.TLS == nil {
		return files, nil
	}
	return files, errors.Join(files.add("web.yml", "prometheus/web.yml", 0o644, false, p.TLS),
		files.add("exporter-web.yml", "prometheus/web.yml", 0o644, false, p.Exporter))
}

// copy adds a file that is not a template.
func (f Files) copy(name, source string) error {
	text, err := templates.ReadFile(source)
	f[name] = File{Content: string(text), Mode: 0o644}
	return err
}
