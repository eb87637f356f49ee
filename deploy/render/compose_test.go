package main

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// composeFile is what compose.yaml says, with its references resolved.
type composeFile struct {
	Services map[string]composeService
	Networks map[string]struct {
		Internal bool
		IPAM     struct {
			Config []struct{ Subnet string }
		} `yaml:"ipam"`
	}
	Volumes map[string]any
}

type composeService struct {
	Image       string
	Restart     string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	MemLimit    string   `yaml:"mem_limit"`
	NetworkMode string   `yaml:"network_mode"`
	Healthcheck any
	Environment map[string]string
	ExtraHosts  []string `yaml:"extra_hosts"`
	Volumes     []string
	Ports       []string
	Networks    yaml.Node
	DependsOn   map[string]any `yaml:"depends_on"`
}

// addresses are the service's fixed ones, by network.
func (s composeService) addresses(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	if s.Networks.Kind != yaml.MappingNode {
		return found
	}
	var networks map[string]struct {
		Address string `yaml:"ipv4_address"`
	}
	if err := s.Networks.Decode(&networks); err != nil {
		t.Fatal(err)
	}
	for name, n := range networks {
		if n.Address != "" {
			found[name] = n.Address
		}
	}
	return found
}

func readCompose(t *testing.T) (c composeFile) {
	t.Helper()
	text, err := os.ReadFile("../compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.ReplaceAll(string(text), "${NET:-172.29}", "172.29"))
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func composeRendered(t *testing.T) deploy.Files {
	t.Helper()
	dir := t.TempDir()
	if err := makePasswords(dir); err != nil {
		t.Fatal(err)
	}
	p, err := readPasswords(dir, roles)
	if err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{}
	for _, pair := range readCompose(t).Services["prepare"].ExtraHosts {
		name, address, _ := strings.Cut(pair, ":")
		addresses[name] = address
	}
	s := containers(composed(), &composeSettings{Clients: []string{"172.29.2.0/24", "172.29.3.0/24"}, MemoryMB: 4096}, p, addresses)
	files, err := s.composeFiles()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.certificates(files, deploy.Files{}, false, time.Now()); err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAddressesComeFromTheHostsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte("127.0.0.1\tlocalhost me\n# 10.0.0.1 no\n\n172.29.2.11\tnode1 # the first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readHosts(path)
	if want := map[string]string{"localhost": "127.0.0.1", "me": "127.0.0.1", "node1": "172.29.2.11"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

// Passwords that are there stay.
func TestPasswordsAreMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var made []passwords
	for range 2 {
		if err := makePasswords(dir); err != nil {
			t.Fatal(err)
		}
		p, err := readPasswords(dir, roles)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, p)
	}
	if len(made[0]["command"]) != 48 || made[0]["command"] != made[1]["command"] || made[0]["command"] == made[0]["query"] {
		t.Error("passwords change, are short or alike")
	}
}

// A container can do as little as possible, and only two see all passwords.
func TestEveryContainerIsConfined(t *testing.T) {
	c := readCompose(t)
	for name, s := range c.Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.MemLimit == "" {
			t.Errorf("%s is not confined: %+v", name, s)
		}
		once := slices.Contains([]string{"prepare", "roles", "migrate", "seed"}, name)
		if once == (s.Restart == "unless-stopped") || once == (s.Healthcheck != nil) {
			t.Errorf("%s: restart %q, healthcheck %v", name, s.Restart, s.Healthcheck)
		}
		for _, volume := range s.Volumes {
			source, target, _ := strings.Cut(volume, ":")
			if _, known := c.Volumes[source]; !known {
				t.Errorf("%s: there is no volume %s", name, source)
			}
			if source == "secrets" && name != "prepare" && name != "roles" {
				t.Errorf("%s sees all passwords in %s", name, target)
			}
		}
		if published := len(s.Ports) > 0; published != (name == "haproxy" || name == "prometheus") {
			t.Errorf("%s: ports %v", name, s.Ports)
		}
	}
	for name, n := range c.Networks {
		if n.Internal == (name == "front") {
			t.Errorf("network %s: internal %t", name, n.Internal)
		}
	}
}

// Every name of a host leads to the container of that name, and no two containers have one address.
func TestEveryHostIsAContainer(t *testing.T) {
	c := readCompose(t)
	owner := map[string]string{}
	for name, s := range c.Services {
		for network, address := range s.addresses(t) {
			subnet, err := netip.ParsePrefix(c.Networks[network].IPAM.Config[0].Subnet)
			if err != nil {
				t.Fatal(err)
			}
			a, err := netip.ParseAddr(address)
			if err != nil || !subnet.Contains(a) || a.As4()[3] >= 128 || owner[address] != "" {
				t.Errorf("%s in %s: %s is wrong or that of %q", name, network, address, owner[address])
			}
			owner[address] = name
		}
	}
	for name, s := range c.Services {
		for _, pair := range s.ExtraHosts {
			host, address, _ := strings.Cut(pair, ":")
			if owner[address] != host {
				t.Errorf("%s looks for %s at %s, which is %q", name, host, address, owner[address])
			}
		}
	}
}

// What is rendered is what the containers read, and every host in it is a container.
func TestContainersFindTheirFiles(t *testing.T) {
	c, files := readCompose(t), composeRendered(t)
	for path := range files {
		folder, _, _ := strings.Cut(path, "/")
		if !slices.Contains(c.Services["prepare"].Volumes, "conf-"+folder+":/conf/"+folder) {
			t.Errorf("%s is in no volume", path)
		}
	}
	for name, s := range c.Services {
		file := s.Environment["ENV_FILE"]
		if file == "" {
			continue
		}
		path, _ := filepath.Rel("/conf", file)
		folder, _, _ := strings.Cut(path, "/")
		mounted := slices.ContainsFunc(s.Volumes, func(v string) bool { return strings.HasPrefix(v, "conf-"+folder+":/conf/"+folder) })
		if _, ok := files[path]; !ok || !mounted {
			t.Errorf("%s does not find %s", name, file)
		}
	}
	for path, want := range map[string]string{
		"haproxy/haproxy.cfg":         "server command2 command-2:8081 port 9081 check",
		"pgpool/pgpool.conf":          "backend_hostname1 = 'node2'",
		"node1/pg_service.conf":       "[witness]\nhost=witness\nport=5432\n",
		"node1/pg_hba.conf":           "172.29.3.0/24",
		"node1/postgresql.conf":       "listen_addresses = '0.0.0.0'",
		"node2/node.env":              "PCP_HOST='pgpool'",
		"query/query-1.env":           "JWKS_URL='https://haproxy:8080/",
		"replicator/replicator-2.env": "OPS_PEERS='https://replicator-1:8083'",
		"prometheus/prometheus.yml":   `"exporter-2:9187"`,
		"command/command-2.env":       "postgres://command@node1:5432,node2:5432/pyramid",
		"query/query-2.env":           "REDIS_URL_FILE='/conf/query/redis-url'",
		"query/redis-url":             "@redis:6379/0",
		"migrator/migrator.env":       "PGPASSFILE='/conf/migrator/pgpass'",
		"redis/redis.conf":            "aclfile /conf/redis/users.acl",
	} {
		if text := files[path].Content; !strings.Contains(text, want) || strings.Contains(text, deploy.Loopback+":") {
			t.Errorf("%s lacks %s or has a loopback address:\n%s", path, want, text)
		}
	}
}

// Every image of compose.yaml is built here.
func TestEveryImageIsBuilt(t *testing.T) {
	script, err := os.ReadFile("../compose/images")
	if err != nil {
		t.Fatal(err)
	}
	built := " "
	for line := range strings.Lines(string(script)) {
		if strings.HasPrefix(line, "PROGRAMS=(") || strings.HasPrefix(line, "SERVERS=(") {
			_, names, _ := strings.Cut(strings.Trim(line, ")\n"), "(")
			built += names + " "
		}
	}
	for name, s := range readCompose(t).Services {
		image := strings.TrimSuffix(strings.TrimPrefix(s.Image, "${REPOSITORY:-stock-pyramid}/"), ":${TAG:-latest}")
		if !strings.Contains(built, " "+image+" ") {
			t.Errorf("%s: nothing builds %s", name, s.Image)
		}
	}
}
