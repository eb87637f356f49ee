// Package testenv starts real servers for tests: PostgreSQL (with a standby, if wanted), pgpool-II,
// Redis, HAProxy and the project's own programs, each on a free loopback port with a private folder.
//
// Nothing survives the test process, however it ends. Servers and commands are asked by the kernel to end when it dies
// (see process.go and command.go), a reaper removes their folders (see folder.go), and the next test process removes what both have
// missed.
//
// Every function fails the test with a message that says what is missing; none skips it.
// The package runs on Linux. When it runs as root, PostgreSQL and pgpool-II run as user postgres.
package testenv

import (
	"fmt"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// Option changes how a server is started.
type Option func(*options)

type options struct {
	settings []setting
	fresh    bool
	disk     bool
	secured  *secured
	// walFileMB is the size of a file of the WAL, 0: that of the template.
	walFileMB int
}

type setting = deploy.Setting

// Set sets one setting of the server's configuration. It wins over testenv's own settings.
func Set(name, value string) Option {
	return func(o *options) { o.settings = append(o.settings, setting{Name: name, Value: value}) }
}

// Fresh makes StartPostgres build the cluster from nothing, in a few seconds. Clusters that are
// copies of the template share one system identifier; this one has its own.
func Fresh() Option {
	return func(o *options) { o.fresh = true }
}

// WALFiles makes StartPostgres build the cluster from nothing, with WAL files of that many MB, a power of two.
func WALFiles(megabytes int) Option {
	return func(o *options) {
		o.fresh, o.walFileMB = true, megabytes
		o.settings = append(o.settings, setting{Name: "min_wal_size", Value: fmt.Sprintf("%dMB", 2*megabytes)})
	}
}

// OnDisk keeps a cluster's folder on the disk. Otherwise the folder is in memory if there is room. A test that
// fills a cluster with more than a gigabyte, or that is about the disk, asks for this.
func OnDisk() Option {
	return func(o *options) { o.disk = true }
}

func apply(opts []Option) options {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

const (
	startBudget = 60 * time.Second // generous: test machines are shared
	stopBudget  = 30 * time.Second
	// Polling begins with the short pause and after some 100 ms uses the long one, because a check may cost a
	// server work.
	shortPause = 2 * time.Millisecond
	longPause  = 16 * time.Millisecond
)

// Eventually polls cond every few milliseconds and fails the test if it does not hold within the
// given time. what completes the sentence "waited 3s in vain: ...".
func Eventually(t testing.TB, within time.Duration, what string, cond func() bool) {
	t.Helper()
	EventuallyNoError(t, within, what, func() error {
		if cond() {
			return nil
		}
		return errNotYet
	})
}

var errNotYet = fmt.Errorf("does not hold yet")

// EventuallyNoError is Eventually for a check that says what is wrong; the last error is reported.
func EventuallyNoError(t testing.TB, within time.Duration, what string, check func() error) {
	t.Helper()
	if err := poll(within, check); err != nil {
		t.Fatalf("waited %v in vain: %s: %v", within, what, err)
	}
}

// poll tries check at least once more after the deadline, so a slow machine gets a fair last try.
func poll(within time.Duration, check func() error) error {
	deadline := time.Now().Add(within)
	for pause := shortPause; ; pause = min(pause+pause/8, longPause) {
		late := time.Now().After(deadline)
		err := check()
		if err == nil || late {
			return err
		}
		<-time.After(pause)
	}
}
