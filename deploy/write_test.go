package deploy

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A file that is as it should be is not touched, so that nothing is restarted without need.
func TestWriteTouchesOnlyWhatDiffers(t *testing.T) {
	dir := t.TempDir()
	write := func(content string, mode fs.FileMode) uint64 {
		t.Helper()
		if err := (Files{"a/b": {Content: content, Mode: mode}}).Write(dir, nil); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "a/b"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "a/b")); err != nil || string(got) != content || info.Mode() != mode {
			t.Errorf("%q with mode %v, %v; want %q with %v", got, info.Mode(), err, content, mode)
		}
		return info.Sys().(*syscall.Stat_t).Ino
	}
	first := write("one", 0o600)
	if write("one", 0o600) != first {
		t.Error("the same file was written again")
	}
	second := write("one", 0o644)
	if second == first || write("two", 0o644) == second {
		t.Error("a file was changed in place")
	}
	if list, err := os.ReadDir(filepath.Join(dir, "a")); err != nil || len(list) != 1 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

func TestWriteGivesFilesToPostgres(t *testing.T) {
	dir := t.TempDir()
	files := Files{"own": {Content: "x", Mode: 0o600, Postgres: true}, "other": {Content: "x", Mode: 0o600}}
	err := files.Write(dir, &Owner{UID: 7, GID: 8})
	if os.Geteuid() != 0 { // only root can give files away
		if err == nil {
			t.Error("a file that could not be given away is no error")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{"own": 7, "other": 0} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
	}
}
