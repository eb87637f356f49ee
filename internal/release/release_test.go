package release

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	if _, err := run(t.Context(), dir, name, args...); err != nil {
		t.Fatal(err)
	}
}

// The last release is the last tag before the present commit, also if that has a tag itself. A clone that lacks it says what to fetch.
func TestTheLastReleaseIsTheTagBefore(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	origin := t.TempDir()
	must(t, origin, "git", "init", "-q")
	for _, version := range []string{"v0.9.0", "v0.10.0", "v1.0.0"} {
		if err := os.WriteFile(filepath.Join(origin, "version"), []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
		must(t, origin, "git", "add", "version")
		must(t, origin, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", version)
		must(t, origin, "git", "tag", version)
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
	must(t, shallow, "git", "clone", "-q", "--depth", "1", "file://"+origin, ".")
	t.Chdir(shallow)
	if r, err := Last(t.Context()); err == nil || !strings.Contains(err.Error(), "git fetch --tags --unshallow") {
		t.Errorf("in a clone of depth 1: %+v, %v", r, err)
	}
}
