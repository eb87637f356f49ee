package testenv

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const victimEnv = "TESTENV_VICTIM"

// TestVictim is the process that TestNothingSurvivesKill kills; on its own it does nothing.
func TestVictim(t *testing.T) {
	if os.Getenv(victimEnv) == "" {
		return
	}
	NewDatabase(t)
	primary := StartPostgres(t)
	StartPgpool(t, primary, primary.StartStandby(t))
	StartRedis(t)
	addr := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	StartHAProxy(t, "defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\nfrontend f\n bind "+addr+"\n", addr)
	StartProcess(t, shell("exec sleep 1000"))
	StartPostgres(t, OnDisk()).Pause(t)
	StartRedis(t).Pause(t)

	var folders []string
	for _, run := range []func() (string, error){diskRun, memoryRun} {
		dir, err := run()
		if err != nil {
			t.Fatal(err)
		}
		folders = append(folders, dir)
	}
	line, err := json.Marshal(folders)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("victim %s\n", line)
	<-time.After(5 * time.Minute) // the parent kills it long before
}

func TestNothingSurvivesKill(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.count=1")
	cmd.Env = append(os.Environ(), victimEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := Start(cmd); err != nil {
		t.Fatal(err)
	}
	var folders []string
	for lines := bufio.NewScanner(out); folders == nil && lines.Scan(); {
		if list, ok := strings.CutPrefix(lines.Text(), "victim "); ok {
			if err := json.Unmarshal([]byte(list), &folders); err != nil {
				t.Fatal(err)
			}
		} else {
			t.Log(lines.Text())
		}
	}
	pids := Descendants(t, cmd.Process.Pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The output may be cut off anywhere, and the exit status says that the process was killed.
	_ = cmd.Wait()
	if len(folders) != 2 || len(pids) < 30 {
		t.Fatalf("the victim has folders %v and processes %v", folders, pids)
	}
	EventuallyNoError(t, 20*time.Second, "nothing is left", func() error { return left(pids, folders) })
}

func left(pids []int, folders []string) error {
	errs := []error{Left(pids)}
	for _, dir := range folders {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err, fmt.Errorf("folder %s is left", dir))
		}
	}
	return errors.Join(errs...)
}

func TestSweepRemovesOnlyFoldersOfTheDead(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dead, alive, bare := filepath.Join(base, "run-dead"), filepath.Join(base, "run-alive"), filepath.Join(base, "run-bare")
	for _, dir := range []string{dead, alive, bare} {
		if err := os.MkdirAll(filepath.Join(dir, "pg-1", "data"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dead, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := lockFile(filepath.Join(alive, "lock"), syscall.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sweep(base), lock.Close()); err != nil {
		t.Fatal(err)
	}
	if entries, err := filepath.Glob(filepath.Join(base, "*")); err != nil || len(entries) != 1 || entries[0] != alive {
		t.Errorf("left are %v, %v", entries, err)
	}
}
