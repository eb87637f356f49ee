package release

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func mustGit(t *testing.T, dir string, args ...string) {
	t.Helper()
	if _, err := run(t.Context(), dir, "git", args...); err != nil {
		t.Fatal(err)
	}
}

// The last release is the last tag before the present commit, also if that has a tag itself. A clone that lacks it says what to fetch.
func TestTheLastReleaseIsTheTagBefore(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	origin := t.TempDir()
	mustGit(t, origin, "init", "-q")
	for _, version := range []string{"v0.9.0", "v0.10.0", "v1.0.0"} {
		if err := os.WriteFile(filepath.Join(origin, "version"), []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
		mustGit(t, origin, "add", "version")
		mustGit(t, origin, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", version)
		mustGit(t, origin, "tag", version)
	}
	t.Chdir(origin)
	r, err := Last(t.Context())
	if err != nil || r.Name != "v0.10.0" {
		t.Fatalf("%+v, %v", r, err)
	}
	if text, err := os.ReadFile(filepath.Join(r.Tree(), "version")); err != nil || string(text) != "v0.10.0" {
		t.Errorf("its tree has %q, %v", text, err)
	}
	shallow := t.TempDir()
	mustGit(t, shallow, "clone", "-q", "--depth", "1", "file://"+origin, ".")
	t.Chdir(shallow)
	if r, err := Last(t.Context()); err == nil || !strings.Contains(err.Error(), "git fetch --tags --unshallow") {
		t.Errorf("in a clone of depth 1: %+v, %v", r, err)
	}
}
