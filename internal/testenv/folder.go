package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// A Unix socket's path must fit into 108 bytes (unix(7)); the folders below add at most 60.
const longestBase = 40

// Folders are kept in memory if there is room. In memory a cluster is copied, and a database cloned, five to
// ten times as fast as on ext4, where making their 1,300 files takes most of a second.
const (
	memoryParent = "/dev/shm"
	memoryRoom   = 4 << 30 // bytes, free in the file system as well as available to new programs
)

// base is where the folders of all test processes of this user are kept. It is not in the user's cache folder,
// because user postgres can't enter root's.
func base(parent string) (string, error) {
	dir := filepath.Join(parent, fmt.Sprintf("stock-pyramid-testenv-%d", os.Geteuid()))
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	// Anybody may make a folder of this name in a shared folder, so its owner is checked.
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("%s must be a folder that only its owner, user %d, can write to", dir, os.Geteuid())
	}
	return dir, nil
}

// diskBase also holds the templates.
var diskBase = sync.OnceValues(func() (string, error) {
	parent := os.TempDir()
	if len(parent) > longestBase || !enterable(parent) {
		parent = "/tmp"
	}
	return base(parent)
})

// enterable says whether other users can reach the folder.
func enterable(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		up := filepath.Dir(dir)
		if up == dir {
			return true
		}
		dir = up
	}
}

// diskRun and memoryRun are this process's folders.
var (
	diskRun = sync.OnceValues(func() (string, error) {
		dir, err := diskBase()
		if err != nil {
			return "", err
		}
		return openRun(dir)
	})
	memoryRun = sync.OnceValues(func() (string, error) {
		if !enterable(memoryParent) || !hasRoom() {
			return diskRun()
		}
		dir, err := base(memoryParent)
		if err != nil {
			return "", err
		}
		return openRun(dir)
	})
)

// hasRoom does not trust the file system alone, because files in memory take the memory of the programs.
func hasRoom() bool {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memoryParent, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < memoryRoom {
		return false
	}
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(info)) {
		var kilobytes uint64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kilobytes); err == nil {
			return kilobytes<<10 >= memoryRoom
		}
	}
	return false
}

// openRun makes a folder with a lock file that is locked as long as the process lives.
func openRun(base string) (dir string, err error) {
	err = withLock(filepath.Join(base, "lock"), func() error {
		if err := sweep(base); err != nil {
			return err
		}
		if dir, err = os.MkdirTemp(base, "run-"); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
		lock, err := lockFile(filepath.Join(dir, "lock"), syscall.LOCK_EX)
		keepOpen(lock)
		return err
	})
	if err != nil {
		return "", err
	}
	return dir, startReaper(dir)
}

var (
	keptMu sync.Mutex
	kept   []*os.File
)

// keepOpen keeps f reachable, because a file that is garbage-collected is closed, and its lock or pipe is then gone.
func keepOpen(f *os.File) {
	keptMu.Lock()
	defer keptMu.Unlock()
	kept = append(kept, f)
}

// newFolder makes a folder for one server in one of the process's folders, readable only by o.
func newFolder(run func() (string, error), kind string, o *owner) (string, error) {
	parent, err := run()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(parent, kind+"-")
	if err != nil {
		return "", err
	}
	if o != nil {
		err = os.Chown(dir, o.uid, o.gid)
	}
	return dir, err
}

func testFolder(t testing.TB, run func() (string, error), kind string, o *owner) string {
	t.Helper()
	dir, err := newFolder(run, kind, o)
	if err != nil {
		t.Fatalf("folder for %s: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove folder of %s: %v", kind, err)
		}
	})
	return dir
}

// writeConfig writes a configuration file that the user o can read, if o is not nil.
func writeConfig(path, text string, o *owner) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if o == nil {
		return nil
	}
	return os.Chown(path, o.uid, o.gid)
}

// writeFiles writes rendered files, which the user o can read, if o is not nil.
func writeFiles(files deploy.Files, dir string, o *owner) error {
	var postgres *deploy.Owner
	if o != nil {
		postgres = &deploy.Owner{UID: o.uid, GID: o.gid}
	}
	return files.Write(dir, postgres)
}
