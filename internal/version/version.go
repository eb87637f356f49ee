// Package version says what a program was built from. The Go command notes that in each program that it builds in a
// checkout.
package version

import (
	"cmp"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
)

// Changed follows the commit of a source that had changes.
const Changed = ", changed"

// Commit is the commit of a program's source; "" if the program was not built in a checkout.
func Commit(info *debug.BuildInfo) (commit string) {
	var dirty string
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = Changed
			}
		}
	}
	return commit + dirty
}

// Of is a program's version: its tag or what stands for it, its commit, and the Go release.
func Of(info *debug.BuildInfo) string {
	return fmt.Sprintf("%s (commit %s; %s)", cmp.Or(info.Main.Version, "(devel)"), cmp.Or(Commit(info), "unknown"), info.GoVersion)
}

// Print prints the version of this program if that is all that its arguments ask for, and says whether they do.
func Print(out io.Writer, name string, args []string) bool {
	if len(args) != 1 || !slices.Contains([]string{"version", "-version", "--version"}, args[0]) {
		return false
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	fmt.Fprintln(out, name, Of(info))
	return true
}
