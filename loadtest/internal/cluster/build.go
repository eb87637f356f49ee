package cluster

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"
)

// changed follows the commit of a source that had changes.
const changed = ", changed"

// Commit is the revision of the program's source; "" if the program was not built from a checkout.
func Commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = changed
			}
		}
	}
	return revision + dirty
}

// ownBuild names this program so that any other has another name: by its commit, or by a hash of its file if the commit
// does not say what was built.
var ownBuild = sync.OnceValues(func() (string, error) {
	commit := Commit()
	if commit != "" && !strings.HasSuffix(commit, changed) {
		return "commit " + commit, nil
	}
	file, err := os.Open("/proc/self/exe") // also if another build has taken its place
	if err != nil {
		return "", fmt.Errorf("hash of the program: %w", err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("hash of the program: %w", err)
	}
	return fmt.Sprintf("program %x (commit %s)", hash.Sum(nil)[:8], cmp.Or(commit, "unknown")), nil
})
