package deploy_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// A log that has grown is rotated while its program goes on writing: the program's further lines are in the emptied file, and
// the old ones in a compressed one. At most four of these are kept.
func TestLogsAreRotatedWhileTheyAreWritten(t *testing.T) {
	logs := t.TempDir()
	files, err := deploy.Supervisor{Logs: logs, LocalDir: logs, Run: logs, Starter: "/run", Programs: []string{"redis"}}.Files()
	if err == nil {
		err = files.Write(logs, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	rotate := func() {
		t.Helper()
		c := exec.CommandContext(t.Context(), testenv.Tool(t, "logrotate", "logrotate"), "-s", filepath.Join(logs, "state"), filepath.Join(logs, "logrotate.conf"))
		if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	log, err := os.OpenFile(filepath.Join(logs, "redis.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) // as run does
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	write := func(text string) {
		t.Helper()
		if _, err := log.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	write("small\n")
	rotate()
	if now := read(t, log.Name()); now != "small\n" {
		t.Fatalf("a small log was rotated: %q", now)
	}
	full := string(bytes.Repeat([]byte("a line\n"), 21<<20/7))
	for i := range 6 {
		write(full)
		rotate()
		next := fmt.Sprintf("after %d\n", i)
		write(next)
		if now := read(t, log.Name()); now != next {
			t.Fatalf("after rotation %d the log begins with %.40q", i, now)
		}
	}
	old, err := filepath.Glob(log.Name() + ".*")
	if err != nil || len(old) != 4 || !strings.HasSuffix(old[0], ".1.gz") {
		t.Errorf("%v: %q", err, old)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
