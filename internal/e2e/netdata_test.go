package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// netdataPatience is how long netdata's plugins may take to start and to collect twice.
const netdataPatience = time.Minute

// netdata shows what the processes of each part take, what HAProxy counts, and the figures of the services. It is on loopback
// alone and knows no cloud and no statistics about users.
func TestNetdataShowsTheParts(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	_, front, stats := testenv.StartFrontDoor(t, testenv.FrontDoor{
		Command: []testenv.Instance{{Public: s.commandURL, Admin: s.commandAdmin}}, Query: []testenv.Instance{{Public: s.queryURL, Admin: s.queryAdmin}},
	})
	url := startNetdata(t, named(t, "haproxy", stats), named(t, "command-1", s.commandAdmin), named(t, "query-1", s.queryAdmin))
	s.netdataIsAlone(t, url)
	for _, want := range []struct{ chart, dimension string }{
		{"apps.processes", "command"}, {"apps.processes", "query"}, {"apps.processes", "replicator"}, {"apps.processes", "redis"},
		{"apps.processes", "pgpool"}, {"apps.processes", "haproxy"}, {"apps.cpu", "netdata"}, {"apps.mem", "replicator"},
		{"haproxy_front_door.fhrsp_2xx", "front"}, {"haproxy_front_door.health_sup", "reads"}, {"system.cpu", "user"},
		{"prometheus_query-1.http_request_duration_seconds_count", "GET /hello 200"},
		{"prometheus_command-1.command_closer_active", "value"},
	} {
		testenv.EventuallyNoError(t, netdataPatience, want.chart+" shows "+want.dimension, func() error {
			s.must(t, http.StatusOK, "GET", front+"/hello", nil)
			value, err := s.netdataValue(url, want.chart, want.dimension)
			if err == nil && value == 0 && want.chart != "apps.cpu" {
				err = fmt.Errorf("it is 0")
			}
			return err
		})
	}
}

// named takes an address or the URL of its metrics.
func named(t testing.TB, name, address string) deploy.NamedTarget {
	t.Helper()
	_, port, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/metrics"), ":")
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return deploy.NamedTarget{Name: name, Address: deploy.Address{Port: number}}
}

// startNetdata starts it as it is deployed, with its collector of HAProxy's statistics, and returns its URL.
func startNetdata(t testing.TB, stats deploy.NamedTarget, targets ...deploy.NamedTarget) string {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n := deploy.Netdata{
		Address: deploy.Address{Port: testenv.FreePort(t)}, User: me.Username, Conf: filepath.Join(dir, "conf"), Data: dir, Stats: stats.Address, Stack: dir,
		Program: testenv.Binary(t, "./deploy/netdata/prometheus.plugin"), Targets: targets,
	}
	files, err := n.Files()
	for _, folder := range []string{"lib", "cache", "log"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, folder), 0o700))
	}
	if err == nil {
		err = files.Write(n.Conf, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + n.String()
	testenv.StartProcess(t, testenv.Process{
		Path: testenv.Tool(t, "netdata", "netdata"), Args: []string{"-D", "-c", filepath.Join(n.Conf, "netdata.conf")},
		Ready: url + "/api/v1/info", Death: syscall.SIGTERM,
	})
	return url
}

// netdataIsAlone holds what netdata says of itself.
func (s *stack) netdataIsAlone(t testing.TB, url string) {
	t.Helper()
	var info struct {
		Cloud bool `json:"cloud-enabled"`
	}
	a := s.must(t, http.StatusOK, "GET", url+"/api/v1/info", nil)
	if err := json.Unmarshal(a.body, &info); err != nil || info.Cloud {
		t.Errorf("the cloud: %+v, %v", info, err)
	}
	registry := s.must(t, http.StatusOK, "GET", url+"/api/v1/registry?action=hello", nil)
	for _, want := range []string{`"anonymous_statistics": false`, `"registry": "` + url + `"`} {
		if !strings.Contains(string(registry.body), want) {
			t.Errorf("no %s in %s", want, registry.body)
		}
	}
}

// netdataValue is the last value of a dimension of a chart.
func (s *stack) netdataValue(url, chart, dimension string) (float64, error) {
	a, err := s.do("GET", url+"/api/v1/data?after=-12&points=1&group=max&format=json&chart="+chart, nil)
	if err != nil {
		return 0, err
	}
	var data struct {
		Labels []string
		Data   [][]float64
	}
	if err := json.Unmarshal(a.body, &data); err != nil {
		return 0, fmt.Errorf("%d %.200s: %w", a.status, a.body, err)
	}
	for i, label := range data.Labels {
		if label == dimension && len(data.Data) > 0 {
			return data.Data[0][i], nil
		}
	}
	return 0, fmt.Errorf("%s has %q", chart, data.Labels)
}
