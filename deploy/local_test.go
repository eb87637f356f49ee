package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// PORT_OFFSET moves all ports of the local stack but those that have a setting of their own. Without it the ports of the last
// start stay.
func TestAnOffsetMovesAllPorts(t *testing.T) {
	const last = "HTTP_PORT=18080\nNODE1_PORT=25432\nREPLICAS=1\n"
	for _, c := range []struct{ environment, last, want string }{
		{"", "", "8080 15432 15441 2"}, {"PORT_OFFSET=10000", "", "18080 25432 25441 2"}, {"PORT_OFFSET=010", "", "8090 15442 15451 2"},
		{"PORT_OFFSET=10000 HTTP_PORT=9000", "", "9000 25432 25441 2"},
		{"", last, "18080 25432 15441 1"}, {"PORT_OFFSET=0", last, "8080 15432 15441 1"},
		{"PORT_OFFSET=ten", "", "PORT_OFFSET=ten is not a number"}, {"PORT_OFFSET=99999", "", "HTTP_PORT=108079 is not a port"},
		{"HTTP_PORT=eighty", "", "HTTP_PORT=eighty is not a port"},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "conf"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "conf", "settings"), []byte(c.last), 0o600); err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), "bash", "-c", `. local/lib.sh && load_settings && echo "$HTTP_PORT $NODE1_PORT $LINK_PORT $REPLICAS"`)
		command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LOCAL_DIR=" + dir}, strings.Fields(c.environment)...)
		out, err := command.CombinedOutput()
		if failed := strings.Contains(c.want, "not"); (err != nil) != failed || !strings.Contains(string(out), c.want) {
			t.Errorf("%s after %q: %s %v, want %s", c.environment, c.last, out, err, c.want)
		}
	}
}
