// Package release builds the programs of the last release or of a commit, so that they can be tried beside those of the
// working tree.
package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// base stands for the last release as long as there is none. It has the slot that a promotion makes, without which a
// switchover under load fails reads. The tests also read bytes that older commits wrote.
const base = "6df94cdeea2df01644ffe2f0fb9176a153f8a083"

// Release is a release or a commit, unpacked in the user's cache folder.
type Release struct {
	// Name is a tag or a commit, Commit what it stands for.
	Name, Commit string
	dir          string
}

// Last unpacks the last release, which is the last tag v* before the present commit. A clone without its commit is an error.
func Last(ctx context.Context) (Release, error) {
	// A clone of depth 1 has no commit before the present one; its error is that of rev-parse in Of.
	if tag, err := git(ctx, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD~1"); err == nil {
		return Of(ctx, tag)
	}
	return Of(ctx, base)
}

// Of unpacks the tag or commit of that name. A clone without it is an error.
func Of(ctx context.Context, name string) (r Release, err error) {
	r.Name = name
	find := func() error { r.Commit, err = git(ctx, "rev-parse", "--verify", r.Name+"^{commit}"); return err }
	if find() != nil {
		// A clone of depth 1 gets this commit alone, if its origin gives it away.
		if _, fetchErr := git(ctx, "fetch", "--quiet", "--depth", "1", "origin", r.Name); fetchErr == nil {
			err = find()
		}
	}
	if err != nil {
		return r, fmt.Errorf("%s is not in this clone: fetch the history with `git fetch --tags --unshallow` (%w)", r.Name, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return r, err
	}
	r.dir = filepath.Join(cache, "stock-pyramid", "release-"+r.Commit)
	return r, r.locked(func() error { return r.unpack(ctx) })
}

// Tree is the folder with the release's sources.
func (r Release) Tree() string { return filepath.Join(r.dir, "tree") }

// Build builds packages of main in folders of the module, such as "./query", and returns the folder of their programs. It
// builds nothing twice.
func (r Release) Build(ctx context.Context, packages ...string) (dir string, err error) {
	dir = filepath.Join(r.dir, "bin")
	return dir, r.locked(func() error {
		packages = slices.DeleteFunc(slices.Clone(packages), func(pkg string) bool {
			_, err := os.Stat(filepath.Join(dir, filepath.Base(pkg)))
			return err == nil
		})
		if len(packages) == 0 {
			return nil
		}
		return r.build(ctx, dir, packages)
	})
}

// build builds in a folder of its own, so that a build that is broken off leaves nothing in dir.
func (r Release) build(ctx context.Context, dir string, packages []string) error {
	work, err := os.MkdirTemp(r.dir, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	args := append([]string{"build", "-buildvcs=false", "-o", work + "/"}, packages...)
	if _, err := run(ctx, r.Tree(), "go", args...); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, pkg := range packages {
		name := filepath.Base(pkg)
		if err := os.Rename(filepath.Join(work, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (r Release) unpack(ctx context.Context) error {
	if _, err := os.Stat(r.Tree()); err == nil {
		return nil
	}
	work, err := os.MkdirTemp(r.dir, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	root, err := git(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	archive, tree := filepath.Join(work, "tar"), filepath.Join(work, "tree")
	if _, err := run(ctx, root, "git", "-c", "safe.directory=*", "archive", "--output", archive, "--format", "tar", r.Commit); err != nil {
		return err
	}
	if err := os.Mkdir(tree, 0o755); err != nil { //nolint:gosec // it holds no secrets
		return err
	}
	if _, err := run(ctx, tree, "tar", "-xf", archive); err != nil {
		return err
	}
	return os.Rename(tree, r.Tree())
}

// locked lets one process at a time change the folder.
func (r Release) locked(do func() error) (err error) {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	lock, err := os.Open(r.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", r.dir, err)
	}
	return do()
}

// git reads a clone of another user, too, because it runs nothing of it.
func git(ctx context.Context, args ...string) (string, error) {
	return run(ctx, "", "git", append([]string{"-c", "safe.directory=*"}, args...)...)
}

// run returns what a program prints.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, complaint bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(out.String()), nil
}
