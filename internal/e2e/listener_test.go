package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// npmClients installs the clients of the feed.
func npmClients(t testing.TB) string { return npmInstall(t, "clients") }

// npmInstall installs the packages of a folder here, of the versions in its lock file, outside the work tree and returns
// where Node.js finds them.
func npmInstall(t testing.TB, folder string) string {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	dir := filepath.Join(cache, "stock-pyramid", folder+"-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(dir); err == nil {
		return filepath.Join(dir, "node_modules")
	}
	npmCI(t, folder, dir)
	return filepath.Join(dir, "node_modules")
}

// npmCI installs into dir. The folder is made under another name and then renamed, so that an interrupted install leaves
// nothing that looks complete.
func npmCI(t testing.TB, folder, dir string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(work)
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = work
	if out, err := testenv.Run(npm); err != nil {
		t.Fatalf("npm ci (Node.js and npm must be installed): %v\n%s", err, out)
	}
	if err := os.Rename(work, dir); err != nil && !os.IsExist(err) {
		if _, gone := os.Stat(dir); gone != nil { // another test may have been faster
			t.Fatal(err)
		}
	}
}

// listener is a client program of the feed and what it has received.
type listener struct {
	kind string

	mu     sync.Mutex
	joined int
	bids   []int64
	others []string
	errors bytes.Buffer
}

// listen starts a client; kind is sse, websocket or polling.
func listen(t testing.TB, modules, kind, base string, raffle int64) *listener {
	t.Helper()
	l := &listener{kind: kind}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", "clients/listen.cjs", kind, base, strconv.FormatInt(raffle, 10))
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stderr = &l.errors
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := testenv.Start(cmd); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			l.line(lines.Text())
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-read
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("%s: joined %d times, %d bids, others %v\n%s", kind, l.joined, len(l.bids), l.others, l.errors.Bytes())
		}
	})
	return l
}

func (l *listener) line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	number, isBid := strings.CutPrefix(text, "bid ")
	id, err := strconv.ParseInt(number, 10, 64)
	switch {
	case isBid && err == nil:
		l.bids = append(l.bids, id)
	case text == "joined":
		l.joined++
	default:
		l.others = append(l.others, text)
	}
}

// state is how often the client has joined and how many bids it has received.
func (l *listener) state() (joined, bids int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.joined, len(l.bids)
}

// holdTo compares the bids that the client has received with the committed ones, in order.
func (l *listener) holdTo(want []int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.others) > 0 {
		return fmt.Errorf("%s: got %v", l.kind, l.others)
	}
	for i := range min(len(l.bids), len(want)) {
		if l.bids[i] != want[i] {
			return fmt.Errorf("%s: bid %d of the feed is %d, but %d was committed", l.kind, i, l.bids[i], want[i])
		}
	}
	if len(l.bids) != len(want) {
		return fmt.Errorf("%s: got %d bids of %d", l.kind, len(l.bids), len(want))
	}
	return nil
}
