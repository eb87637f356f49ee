package version

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"
)

func TestAVersionNamesTheTagAndTheCommit(t *testing.T) {
	for want, info := range map[string]*debug.BuildInfo{
		"v0.1.0 (commit abc; go1.26)": {GoVersion: "go1.26", Main: debug.Module{Version: "v0.1.0"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}}},
		"v0.1.1-0.2026+dirty (commit abc, changed; go1.26)": {GoVersion: "go1.26", Main: debug.Module{Version: "v0.1.1-0.2026+dirty"},
			Settings: []debug.BuildSetting{{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "abc"}}},
		"(devel) (commit unknown; go1.26)": {GoVersion: "go1.26"},
	} {
		if got := Of(info); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestOnlyTheQuestionForTheVersionIsAnswered(t *testing.T) {
	for args, want := range map[string]bool{"-version": true, "--version": true, "version": true, "": false, "status": false, "status --version": false} {
		var out bytes.Buffer
		if got := Print(&out, "query", strings.Fields(args)); got != want || strings.HasPrefix(out.String(), "query ") != want {
			t.Errorf("%q: %v, %q", args, got, out.String())
		}
	}
}
