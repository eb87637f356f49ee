package testenv

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/cors"
)

// FrontDoor is what a front door leads to: the instances of each service.
type FrontDoor struct {
	Command, Query []Instance
	// Limits are those that deploy.ReadLimits knows, NAME=value each. Without them one address may use the whole
	// front door.
	Limits []string
	// Origins are those whose pages may use the API.
	Origins cors.Origins
}

// Instance has the addresses (host:port, or a URL of it) of one instance of a service: the public one and the admin one, which says
// whether the instance is ready.
type Instance struct{ Public, Admin string }

// StartFrontDoor starts HAProxy as it is deployed, and returns it with its URL and the URL of its metrics.
func StartFrontDoor(t testing.TB, f FrontDoor, opts ...Option) (h *HAProxy, url, metrics string) {
	t.Helper()
	dir := testFolder(t, memoryRun, "frontdoor", nil)
	door := deploy.FrontDoor{Address: deploy.Address{Port: FreePort(t)}, StatsPort: FreePort(t), Conf: dir, Run: dir, Origins: f.Origins}
	secured, err := apply(opts).secured, f.fill(&door)
	if err == nil {
		door.TLS, err = secured.files(dir, nil)
	}
	if err != nil {
		t.Fatalf("front door: %v", err)
	}
	files, err := door.Files()
	if err == nil {
		err = files.Write(dir, nil)
	}
	if err != nil {
		t.Fatalf("front door: %v", err)
	}
	addr := door.String()
	h = startHAProxy(t, filepath.Join(dir, "haproxy.cfg"), addr, "-W")
	scheme := "http"
	if secured != nil {
		scheme = "https"
	}
	return h, scheme + "://" + addr, fmt.Sprintf("%s://127.0.0.1:%d/metrics", scheme, door.StatsPort)
}

func (f FrontDoor) fill(door *deploy.FrontDoor) (err error) {
	limits := map[string]string{"FRONT_MAXCONN": "4000", "ADDRESS_CONNS": "1000000", "ADDRESS_RATE": "1000000", "ADDRESS_FEEDS": "1000000"}
	for _, pair := range f.Limits {
		name, value, _ := strings.Cut(pair, "=")
		limits[name] = value
	}
	if door.Limits, err = deploy.ReadLimits(func(name string) string { return limits[name] }, 0); err != nil {
		return err
	}
	if door.Command, err = instances(f.Command); err != nil {
		return err
	}
	door.Query, err = instances(f.Query)
	return err
}

func instances(list []Instance) ([]deploy.Instance, error) {
	var rendered []deploy.Instance
	for _, i := range list {
		host, public, err := split(i.Public)
		if err != nil {
			return nil, err
		}
		_, admin, err := split(i.Admin)
		if err != nil {
			return nil, err
		}
		rendered = append(rendered, deploy.Instance{Address: deploy.Address{Host: host, Port: public}, AdminPort: admin})
	}
	return rendered, nil
}

func split(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(strings.TrimPrefix(addr, "http://"))
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}
