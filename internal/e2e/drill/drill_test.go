package drill

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// settings are the ports that a stack is given.
var settings = []string{"HTTP", "STATS", "NODE1", "NODE2", "WITNESS", "PGPOOL", "PCP", "REDIS", "PROMETHEUS", "ALERTMANAGER", "HOST"}

// families are ports from which others are counted, with how far.
var families = map[string][]int{"COMMAND": {0, 10, 1000, 1010}, "QUERY": {0, 10, 1000, 1010}, "REPLICATOR": {0, 10, 1000, 1010},
	"EXPORTER": {0, 1}, "LINK": {0, 1, 2, 3, 4, 5}}

// W1, W2, R2, R4, P9: no failure of the short set loses or doubles a bid or makes a read wrong. The times are those of a slow
// machine.
func TestDrills_W1_W2_R2_P9(t *testing.T) {
	folder, err := os.MkdirTemp("/var/tmp", "drill-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	// Postgres enters it as another user.
	if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // secrets have a folder of their own
		t.Fatal(err)
	}
	env := []string{"DRILL_DIR=" + folder}
	for _, name := range settings {
		env = append(env, fmt.Sprintf("%s_PORT=%d", name, testenv.FreePort(t)))
	}
	for name, offsets := range families {
		env = append(env, fmt.Sprintf("%s_PORT=%d", name, testenv.FreePorts(t, offsets...)))
	}
	drills := testenv.StartProcess(t, testenv.Process{
		Path: filepath.Join(root(), "deploy/local/drill"), Args: []string{"--short", "--no-skips", "--slack", "4"}, Env: env,
		Death: syscall.SIGTERM, // on which the script removes its stack
	})
	testenv.Eventually(t, patience, "the drills end", func() bool { return !drills.Running() })
	status := drills.Wait(t)
	t.Log(drills.Output())
	if status != 0 {
		t.Fatalf("exit status %d", status)
	}
}

// patience is for a machine that is several times as slow as one on which the drills take three minutes.
const patience = 15 * time.Minute

func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../../..")
}
