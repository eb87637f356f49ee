package deploy

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnUnknownPlaceholderIsAnError(t *testing.T) {
	for _, text := range []string{"{{.Nothing}}", "{{.Answers.nothing}}"} {
		data := struct{ Answers map[string]string }{map[string]string{}}
		if got, err := execute("a template", text, data); err == nil || !strings.Contains(err.Error(), "a template") {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

// A value that would break out of its place, or that is missing, is an error and not a configuration.
func TestValuesThatNoConfigurationCanHold(t *testing.T) {
	for what, change := range map[string]func(*Node){
		"no port":           func(n *Node) { n.Port = 0 },
		"no peer":           func(n *Node) { n.Peer = "" },
		"a quote":           func(n *Node) { n.Data = "/it's" },
		"a line break":      func(n *Node) { n.Name = "a\nb" },
		"no memory":         func(n *Node) { n.SharedBuffersMB = 0 },
		"a space in a path": func(n *Node) { n.Conf = "/a b" },
	} {
		n := node()
		change(&n)
		if _, err := n.Server(); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if _, err := (FrontDoor{Address: Address{Port: 1}, StatsPort: 2}).Files(); err == nil {
		t.Error("a front door before nothing")
	}
	if _, err := (Environment{"A=it's"}).File(); err == nil {
		t.Error("a quote in an environment")
	}
	n := node()
	n.Passwords.Standby = ""
	if _, err := n.Cluster(); err == nil {
		t.Error("a node without a password")
	}
}

func node() Node {
	return Node{
		Name: "node1", ID: 1, Peer: "node2", Address: Address{Port: 5432}, Data: "/data", Conf: "/conf", Sockets: "/run",
		Bin: "/usr/lib/postgresql/15/bin", Program: "/bin/node", SharedBuffersMB: 128, CacheMB: 256,
		OSUsers: []string{"postgres"}, Passwords: NodePasswords{Repmgr: "a", Standby: "b", Pgpool: "c"}, PCP: Address{Port: 9898},
		Peers: []Peer{{"node1", Address{Port: 5432}}, {"node2", Address{Host: "10.0.0.2", Port: 5433}}},
	}
}

// What the agent writes must win over everything else.
func TestTheRoleComesLast(t *testing.T) {
	n := node()
	n.Settings = []Setting{{"fsync", "off"}, {"a.b", "it's"}}
	files, err := n.Server()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(files["postgresql.conf"].Content)
	if !strings.HasSuffix(text, "\ninclude_if_exists '/conf/role.conf'") || !strings.Contains(text, "\na.b = 'it''s'\n") {
		t.Errorf("it ends with\n%s", text[len(text)-300:])
	}
	if strings.LastIndex(text, "fsync = 'off'") < strings.Index(text, "fsync = on") {
		t.Error("a given setting does not win")
	}
}

func TestTheWitnessLetsOnlyRepmgrIn(t *testing.T) {
	n := node()
	n.Name, n.Witness, n.Peer = "witness", true, ""
	files, err := n.Server()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(files["pg_hba.conf"].Content) {
		if strings.Contains(line, "scram") && !strings.HasPrefix(line, "host   repmgr       repmgr ") {
			t.Errorf("%s", line)
		}
	}
	if strings.Contains(files["postgresql.conf"].Content, "primary_conninfo") {
		t.Error("the witness has a primary")
	}
	files, err = n.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(files["repmgr.conf"].Content, "promote_command") || !strings.Contains(files["node.env"].Content, "PEER=''\n") {
		t.Errorf("the witness has a role to lose:\n%s%s", files["repmgr.conf"].Content, files["node.env"].Content)
	}
}

// HAProxy accepts the front door before any number of instances, and a limit is shared among them.
func TestHAProxyAcceptsEveryFrontDoor(t *testing.T) {
	limits, err := ReadLimits(func(string) string { return "" }, 4096)
	if err != nil {
		t.Fatal(err)
	}
	for commands := 1; commands <= 3; commands++ {
		for queries := 1; queries <= 3; queries++ {
			dir := t.TempDir()
			d := FrontDoor{Address: Address{Port: 28080}, StatsPort: 28404, Conf: dir, Run: dir,
				Command: numbered(commands, 28100), Query: numbered(queries, 28200), Limits: limits}
			files, err := d.Files()
			if err != nil {
				t.Fatal(err)
			}
			haproxyAccepts(t, dir, "haproxy.cfg", files)
			text := files["haproxy.cfg"].Content
			share := fmt.Sprintf("check maxconn %d pool", limits.BidPlaces/commands)
			if n := strings.Count(text, "    server command"); n != 3*commands || strings.Count(text, share) != commands {
				t.Errorf("%d instances of command: %d servers, not each with %s", commands, n, share)
			}
			if n := strings.Count(text, "    server query"); n != 3*queries {
				t.Errorf("%d instances of query: %d servers", queries, n)
			}
		}
	}
}

func numbered(n, port int) []Instance {
	list := make([]Instance, n)
	for i := range list {
		list[i] = Instance{Address{Port: port + i}, port + 50 + i}
	}
	return list
}

func TestHAProxyAcceptsALink(t *testing.T) {
	link := Link{[]Way{
		{"node1-to-node2", Address{Port: 1}, Address{Port: 2}}, {"node2-to-node1", Address{Port: 3}, Address{Host: "10.0.0.1", Port: 4}},
	}}
	files, err := link.Files("link.cfg")
	if err != nil {
		t.Fatal(err)
	}
	haproxyAccepts(t, t.TempDir(), "link.cfg", files)
}

func haproxyAccepts(t *testing.T, dir, name string, files Files) {
	t.Helper()
	if err := files.Write(dir, nil); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("haproxy")
	if err != nil {
		path = "/usr/sbin/haproxy"
	}
	if out, err := exec.CommandContext(t.Context(), path, "-W", "-c", "-f", filepath.Join(dir, name)).CombinedOutput(); err != nil || strings.Contains(string(out), "WARNING") {
		t.Errorf("haproxy -c: %v\n%s", err, out)
	}
}

func TestWrongLimitsAreReportedTogether(t *testing.T) {
	wrong := map[string]string{"BODY_TIME": "soon", "ADDRESS_RATE": "-1", "FRONT_MAXCONN": "50"}
	_, err := ReadLimits(func(name string) string { return wrong[name] }, 4096)
	for name := range wrong {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported: %v", name, err)
		}
	}
}
