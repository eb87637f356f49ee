package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommandsTellAStrangerHowToUseThem(t *testing.T) {
	for _, c := range []struct {
		args, want string
		status     int
	}{
		{"--help", "verify   compare Redis with the primary", 0}, {"run --help", "REDIS_URL", 0},
		{"status --help", "Exit status:", 0}, {"verify --help", "-repair", 0}, {"rebuild --help", "LISTEN_ADDR", 0},
		{"check --help", "It changes nothing", 0}, {"pause --help", "max_slot_wal_keep_size", 0}, {"resume --help", "Exit status:", 0},
		{"dump --help", "{rRAFFLE}:E:n:SIZE", 0}, {"drop --help", "PIPELINE", 0}, {"drop now", `unexpected argument "now"`, 2},
		{"dump", "one KEY", 2}, {"dump a b", `unexpected argument "b"`, 2}, {"dump --limit -1 a", "not negative", 2},
		{"repair", `unknown subcommand "repair"`, 2}, {"verify --all", "flag provided but not defined", 2},
		{"status now", `unexpected argument "now"`, 2}, {"verify --raffle -1", "must not be negative", 2},
	} {
		var out, notes bytes.Buffer
		status := program.Status(program.Run(t.Context(), strings.Fields(c.args), &out, &notes), &notes)
		if status != c.status || !strings.Contains(out.String()+notes.String(), c.want) {
			t.Errorf("%s: exit status %d\n%s%s", c.args, status, out.String(), notes.String())
		}
		if status == 0 && notes.Len() > 0 {
			t.Errorf("%s: help that was asked for is no note: %s", c.args, notes.String())
		}
	}
}

func TestConfigurationNamesEverythingThatIsWrong(t *testing.T) {
	c := &config{Stores: Stores{PrimaryURL: "postgres://x:secret@host:notaport/", RedisURL: "redis://a:1,b:2"}, Named: Named{Pipeline: "Green"}}
	var text string
	for _, err := range c.Check() {
		if err != nil {
			text += err.Error() + "\n"
		}
	}
	for _, want := range []string{"PRIMARY_URL", "REDIS_URL", "PIPELINE"} {
		if !bytes.Contains([]byte(text), []byte(want)) {
			t.Errorf("%q says nothing about %s", text, want)
		}
	}
	if bytes.Contains([]byte(text), []byte("secret")) {
		t.Errorf("%q holds the password", text)
	}
}
