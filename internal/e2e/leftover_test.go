package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const victimEnv = "E2E_VICTIM"

// TestVictim is the process that TestNoClientOutlivesItsTest ends; on its own it does nothing.
func TestVictim(t *testing.T) {
	silent := os.Getenv(victimEnv)
	if silent == "" {
		return
	}
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		panic(fmt.Sprintf("time is up (%v)", err)) // in a goroutine of its own, as `go test -timeout` does
	}()
	for _, kind := range []string{"sse", "websocket", "polling"} {
		listen(t, os.Getenv("NODE_PATH"), kind, silent, 1)
	}
	npmClients(t) // waits for the registry, which is as silent
}

// The clients of the feed and the npm that installs them end with the test process, also if that is killed, or if its
// -timeout ends it.
func TestNoClientOutlivesItsTest(t *testing.T) {
	modules := npmClients(t)
	for name, end := range map[string]func(*exec.Cmd, io.Closer) error{
		"kill -9":  func(cmd *exec.Cmd, _ io.Closer) error { return cmd.Process.Kill() },
		"-timeout": func(_ *exec.Cmd, stdin io.Closer) error { return stdin.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, url := silentServer(t)
			cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.count=1")
			cmd.Env = append(os.Environ(), victimEnv+"="+url, "NODE_PATH="+modules, "XDG_CACHE_HOME="+t.TempDir(),
				"npm_config_cache="+t.TempDir(), "npm_config_registry="+url, "npm_config_noproxy=127.0.0.1")
			cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := testenv.Start(cmd); err != nil {
				t.Fatal(err)
			}
			awaitClients(t, asked)
			pids := testenv.Descendants(t, cmd.Process.Pid)
			t.Cleanup(func() { killEach(t, pids) })
			if err := end(cmd, stdin); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the exit status says that it was killed, or that it panicked
			if len(pids) < 4 {
				t.Fatalf("the victim has processes %v", pids)
			}
			testenv.EventuallyNoError(t, 20*time.Second, "no process is left", func() error { return testenv.Left(pids) })
		})
	}
}

// silentServer answers no request. It tells the path of each.
func silentServer(t *testing.T) (asked <-chan string, url string) {
	t.Helper()
	paths := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		paths <- r.URL.Path
		<-r.Context().Done()
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return paths, server.URL
}

// awaitClients waits until each client and npm have sent a request.
func awaitClients(t *testing.T, asked <-chan string) {
	t.Helper()
	var feeds, sockets, packages int
	timeout := time.After(time.Minute)
	for feeds < 1 || sockets < 2 || packages < 1 {
		select {
		case path := <-asked:
			switch {
			case strings.HasSuffix(path, "/live"):
				feeds++
			case strings.HasPrefix(path, "/socket.io/"):
				sockets++
			default:
				packages++
			}
		case <-timeout:
			t.Fatalf("requests of EventSource %d, of socket.io %d, of npm %d", feeds, sockets, packages)
		}
	}
}

func killEach(t *testing.T, pids []int) {
	t.Helper()
	if testenv.Left(pids) == nil {
		return
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			t.Error(err)
		}
	}
}
