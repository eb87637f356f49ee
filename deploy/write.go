package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"syscall"
)

// Owner is a user of the operating system.
type Owner struct{ UID, GID int }

// Write puts the files into the folder and makes the folders that are missing. It touches a file only if its content,
// mode or owner differs, and no reader sees half a file. The files of Postgres belong to postgres, if it is not nil.
func (f Files) Write(folder string, postgres *Owner) error {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		path, file := filepath.Join(folder, name), f[name]
		var owner *Owner
		if file.Postgres {
			owner = postgres
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if file.isAt(path, owner) {
			continue
		}
		if err := file.replace(path, owner); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

// isAt says whether nothing has to be written. What can't be read has to be.
func (f File) isAt(path string, owner *Owner) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != f.Mode {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner != nil && (int(st.Uid) != owner.UID || int(st.Gid) != owner.GID) {
		return false
	}
	content, err := os.ReadFile(path)
	return err == nil && bytes.Equal(content, []byte(f.Content))
}

// replace writes a new file beside the old one and renames it.
func (f File) replace(path string, owner *Owner) error {
	next, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = next.WriteString(f.Content)
	if err == nil {
		err = next.Chmod(f.Mode)
	}
	if err == nil && owner != nil {
		err = next.Chown(owner.UID, owner.GID)
	}
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next.Name()))
	}
	return nil
}
