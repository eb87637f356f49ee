package cluster

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/stock-pyramid/stock-pyramid/internal/version"
)

// Commit is the revision of the program's source; "" if the program was not built from a checkout.
func Commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return version.Commit(info)
}

// ownBuild is the build of this program, also if another build has taken its file's place.
var ownBuild = sync.OnceValues(func() (string, error) { return Build("/proc/self/exe") })

// Build names the build of a Go program's file so that any other build has another name: by its commit, or by a hash of
// the file if the commit does not say what was built.
func Build(program string) (string, error) {
	file, err := os.Open(program)
	if err != nil {
		return "", fmt.Errorf("build of a program: %w", err)
	}
	defer file.Close()
	info, err := buildinfo.Read(file)
	if err != nil {
		return "", fmt.Errorf("build of %s: %w", program, err)
	}
	commit := version.Commit(info)
	if commit != "" && !strings.HasSuffix(commit, version.Changed) {
		return "commit " + commit, nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(file, 0, 1<<40)); err != nil {
		return "", fmt.Errorf("hash of %s: %w", program, err)
	}
	return fmt.Sprintf("program %x (commit %s)", hash.Sum(nil)[:8], cmp.Or(commit, "unknown")), nil
}
