package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
)

func TestSeed(t *testing.T) {
	t.Setenv("SEED_URL", testenv.NewDatabase(t).URL("migrator"))
	var out, notes bytes.Buffer
	args := []string{"seed", "--scale", "demo", "--bids", "30000"}
	if err := program.Run(t.Context(), args, &out, &notes); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"users 2,001, products 1,000, raffles 1,000, bids 30,000", "bytes per bid", `password "pyramid"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
	for _, want := range []string{"bids: 30,000 in ", "index bids_newest: ", "vacuum and analyze bids: "} {
		if !strings.Contains(notes.String(), want) {
			t.Errorf("no %q in %s", want, notes.String())
		}
	}

	if n := strings.Count(notes.String(), "bids: 30,000 in "); n != 1 {
		t.Errorf("the end of the bids is reported %d times: %s", n, notes.String())
	}

	if err := program.Run(t.Context(), args, &out, &notes); err == nil || !strings.Contains(err.Error(), "not empty: there are rows in users, products, raffles, bids") {
		t.Errorf("the second load: %v", err)
	}
	out.Reset()
	if err := program.Run(t.Context(), append(args, "--if-empty"), &out, &notes); err != nil || !strings.Contains(out.String(), "nothing to do") {
		t.Errorf("with --if-empty: %v, %s", err, out.String())
	}
}

// The plan works beside a loaded data set and leaves nothing.
func TestSeedPlansTenfold(t *testing.T) {
	db := testenv.NewDatabase(t)
	t.Setenv("SEED_URL", db.URL("migrator"))
	var out, notes bytes.Buffer
	for _, args := range []string{"seed --scale demo --bids 1000", "seed --scale 10x --bids 20000", "seed --scale 10x --bids 20000"} {
		out.Reset()
		if err := program.Run(t.Context(), strings.Fields(args), &out, &notes); err != nil {
			t.Fatalf("%s: %v", args, err)
		}
	}
	for _, want := range []string{"sample of 20,000 bids", "120,000,000 bids", "bids_sample_pkey", "PostgreSQL, each of two nodes", "write-ahead log", "12 GB in packed sets"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
}

func TestUsage(t *testing.T) {
	t.Setenv("SEED_URL", "")
	for _, c := range []struct {
		args      string
		status    int
		out, note string
	}{
		{"", 2, "", "usage: loadtest SUBCOMMAND"},
		{"help", 0, "usage: loadtest SUBCOMMAND", ""},
		{"nonsense", 2, "", `unknown subcommand "nonsense"`},
		{"seed -h", 0, "usage: loadtest seed --scale", ""},
		{"seed", 2, "", "want demo, full or 10x"},
		{"seed --scale huge", 2, "", "want demo, full or 10x"},
		{"seed --scale demo --at yesterday", 2, "", "invalid value"},
		{"seed --scale demo more", 2, "", `unexpected argument "more"`},
		{"level -h", 0, "4  write only. Everybody bids at once", ""},
		{"level", 2, "", "which level?"},
		{"level 8", 2, "", `no level "8": want 1 to 7`},
		{"level 1 --vusers 0", 2, "", "at least one virtual user"},
		{"level 1 --stages 30s", 2, "", `"30s" is not TIME:RATE`},
		{"level 1 --stages 1s:5 --rate 5", 2, "", "leave out --rate and --duration"},
		{"level 1 --stages 1s:5 --duration 1s", 2, "", "leave out --rate and --duration"},
		{"level 1 --stages 10m:5,15m:0", 2, "", "the load takes 25m0s, but --max-duration ends it after 20m0s"},
		{"level 1 --duration 1h --max-duration 1h", 2, "", "--max-duration ends it after 1h0m0s"},
		{"level 1 --url nowhere", 2, "", "http://host:port"},
		{"level 1 --client curl", 2, "", "want fasthttp or nethttp"},
		{"try -h", 0, "usage: loadtest try", ""},
		{"try --url nowhere", 2, "", "http://host:port"},
		{"paths -h", 0, "usage: loadtest paths", ""},
		{"paths --paths redis,nowhere", 2, "", `no path "nowhere"`},
		{"paths --blocks 0", 2, "", "at least one block"},
		{"all -h", 0, "usage: loadtest all", ""},
	} {
		var out, notes bytes.Buffer
		err := program.Run(t.Context(), strings.Fields(c.args), &out, &notes)
		if status := program.Status(err, &notes); status != c.status {
			t.Errorf("%q: exit status %d, %v", c.args, status, err)
		}
		if !strings.Contains(out.String(), c.out) || !strings.Contains(notes.String(), c.note) {
			t.Errorf("%q: out %q, notes %q", c.args, out.String(), notes.String())
		}
	}
	if err := program.Run(t.Context(), []string{"seed", "--scale", "demo"}, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "SEED_URL") {
		t.Errorf("without SEED_URL: %v", err)
	}
}

func TestParseSeed(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	cfg, err := parseSeed([]string{"--scale", "full", "--if-empty"}, "url", now, &bytes.Buffer{})
	if want := (seedConfig{url: "url", scale: dataset.Full, seed: 1, at: now, ifEmpty: true}); err != nil || cfg != want {
		t.Errorf("got %+v, %v, want %+v", cfg, err, want)
	}
	cfg, err = parseSeed([]string{"--scale=demo", "--seed=9", "--bids=0", "--at=2024-05-01T09:00:00.5+09:00"}, "url", now, &bytes.Buffer{})
	if err != nil || cfg.seed != 9 || cfg.scale.Bids != 0 || !cfg.at.Equal(time.Date(2024, 5, 1, 0, 0, 0, 5e8, time.UTC)) {
		t.Errorf("got %+v, %v", cfg, err)
	}
}
