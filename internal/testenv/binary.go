package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// serverBinary finds a program of a package, in PATH and in Debian's folders that are not in PATH.
func serverBinary(name, pkg string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := filepath.Join("/usr/sbin", name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%s not found: install package %s (deploy/local/install does)", name, pkg)
}

// Tool finds a program of a server's package, as the servers of this package are found.
func Tool(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := serverBinary(name, pkg)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var moduleRoot = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd() // go test runs a package's tests in its folder
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod in the working folder or above it")
		}
		dir = up
	}
})

var (
	buildsMu sync.Mutex
	builds   = map[string]func() (string, error){}
)

// Binary builds the command in a folder of this module, such as "./query", once per test process, and returns
// the path of the program. It is removed with the process. The program has the race detector if the test has
// it.
func Binary(t testing.TB, pkg string) string {
	t.Helper()
	buildsMu.Lock()
	build := builds[pkg]
	if build == nil {
		build = sync.OnceValues(func() (string, error) { return goBuild(pkg) })
		builds[pkg] = build
	}
	buildsMu.Unlock()
	path, err := build()
	if err != nil {
		t.Fatalf("build %s: %v", pkg, err)
	}
	return path
}

func goBuild(pkg string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir, err := newFolder(diskRun, "bin", nil) // memory is often mounted noexec
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-ldflags=-w", "-race="+strconv.FormatBool(raceDetector), "-o", path, pkg)
	cmd.Dir = root
	if out, err := Run(cmd); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// Unlimited is the environment of a service whose clients all have one address. A rate that the list does not name has
// no limit.
const Unlimited = "RATE_LIMIT=read=1000000/1000000"
