package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// writeRuns writes five runs of 10 s that take so long for a request, and returns their folder.
func writeRuns(t *testing.T, level string, us int64) string {
	t.Helper()
	dir := t.TempDir()
	for i := range 5 {
		h := report.NewHDR(3)
		if err := h.RecordValues(us+int64(i), 20_000); err != nil {
			t.Fatal(err)
		}
		step := report.Step{Name: "GET bids", OK: 20_000, Total: report.FromHDR(h), Service: report.FromHDR(h)}
		run := report.Run{Version: report.Version, Level: level, Started: time.Unix(us, int64(i)), Elapsed: 10 * time.Second, Steps: []report.Step{step}}
		var raw bytes.Buffer
		if err := errors.Join(run.WriteJSON(&raw), os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.json", i)), raw.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCompare(t *testing.T) {
	base, same, worse, other := writeRuns(t, "3", 1000), writeRuns(t, "3", 1001), writeRuns(t, "3", 1200), writeRuns(t, "4", 1002)
	files := base + "/0.json," + base + "/1.json," + base + "/2.json," + base + "/3.json," + base + "/4.json"
	for _, c := range []struct {
		args   string
		status int
		text   string
	}{
		{"--before " + base + " --after " + same, 0, "nothing is worse beyond noise"},
		{"--before " + base + " --after " + worse, 1, "WORSE"},
		{"--before " + files + " --after " + worse, 1, "WORSE"},
		{"--before " + worse + " --after " + base, 0, "better"},
		{"--before " + base + " --after " + other, 2, "one has level 3, another level 4"},
		{"--before " + base + " --after missing.json", 2, "missing.json"},
		{"--before " + base + " --after " + t.TempDir(), 2, "there must be runs before and after"},
		{"--before " + base, 2, "compare needs --before and --after"},
		{"--before " + base + " " + worse, 2, "compare needs --before and --after"},
		{base + "/0.json " + worse + "/0.json", 2, "1 before and 1 after are too few runs to tell a change of one of 5 measures from chance: 5 a side are needed"},
	} {
		var out, notes bytes.Buffer
		status := program.Status(program.Run(t.Context(), append([]string{"compare"}, strings.Fields(c.args)...), &out, &notes), &notes)
		if status != c.status || !strings.Contains(out.String()+notes.String(), c.text) {
			t.Errorf("%s: exit status %d\n%s%s", c.args, status, out.String(), notes.String())
		}
	}
}

func TestUsageOfSeveralMachines(t *testing.T) {
	t.Setenv("LOADTEST_TOKEN", "")
	t.Setenv("LOADTEST_TOKEN_FILE", "")
	for _, c := range []struct {
		args   string
		status int
		text   string
	}{
		{"compare one.json", 2, "compare needs --before and --after"},
		{"compare -h", 0, "usage: loadtest compare"},
		{"run 2", 2, "--agents is missing"},
		{"run --agents a:1,a:1 2", 2, `"a:1" is empty or comes twice`},
		{"run --agents a:1 9", 2, `no level "9"`},
		{"run --agents a:1 2", 1, "set LOADTEST_TOKEN_FILE"},
		{"run -h", 0, "usage: loadtest run"},
		{"agent", 1, "set LOADTEST_TOKEN_FILE"},
		{"agent -h", 0, "LOADTEST_TOKEN"},
	} {
		var out, notes bytes.Buffer
		status := program.Status(program.Run(t.Context(), strings.Fields(c.args), &out, &notes), &notes)
		if status != c.status || !strings.Contains(out.String()+notes.String(), c.text) {
			t.Errorf("%s: exit status %d, out %q, notes %q", c.args, status, out.String(), notes.String())
		}
	}
}
