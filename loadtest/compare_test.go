package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// writeRun writes a run of 30 s with so many requests in each, and returns the file's name.
func writeRun(t *testing.T, name, level string, perSecond int64) string {
	t.Helper()
	one := report.NewHDR(2)
	if err := one.RecordValues(1000, perSecond); err != nil {
		t.Fatal(err)
	}
	step := report.Step{Name: "GET bids", OK: 30 * perSecond}
	for at := range 30 {
		step.Seconds = append(step.Seconds, report.Second{At: at, OK: perSecond, Total: report.FromHDR(one)})
		step.Total = step.Total.Merge(report.FromHDR(one))
	}
	step.Service = step.Total
	run := report.Run{Version: report.Version, Level: level, Elapsed: 30 * time.Second, Steps: []report.Step{step}}
	var raw bytes.Buffer
	if err := run.WriteJSON(&raw); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, raw.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCompare(t *testing.T) {
	base, same := writeRun(t, "base.json", "3", 1000), writeRun(t, "same.json", "3", 1000)
	worse, other := writeRun(t, "worse.json", "3", 900), writeRun(t, "other.json", "4", 1000)
	for _, c := range []struct {
		before, after string
		want          error
		out           string
	}{
		{base, same, nil, "nothing is worse beyond noise"},
		{base, worse, errWorse, "-10.0 %"},
		{worse, base, nil, "better"},
		{base, other, report.ErrIncomparable, ""},
		{base, "missing.json", report.ErrIncomparable, ""},
	} {
		var out, notes bytes.Buffer
		err := program.Run(t.Context(), []string{"compare", c.before, c.after}, &out, &notes)
		if !errors.Is(err, c.want) || !strings.Contains(out.String(), c.out) {
			t.Errorf("%s, %s: %v\n%s%s", filepath.Base(c.before), filepath.Base(c.after), err, out.String(), notes.String())
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
		{"compare one.json", 2, "compare needs two files"},
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
