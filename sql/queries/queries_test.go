package queries

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var generated = regexp.MustCompile("(?s)const \\w+ = `-- name: (\\w+) :\\w+\n(.*?)\n`")

// Every statement is the one that sqlc has made the services' code of.
func TestStatementsAreThoseOfTheServices(t *testing.T) {
	entries, err := os.ReadDir("../readdb")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, e := range entries {
		code, err := os.ReadFile("../readdb/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range generated.FindAllStringSubmatch(string(code), -1) {
			got := Read(m[1])
			if strings.Contains(got, "sqlc.") {
				continue // sqlc writes its macros out
			}
			if want := strings.TrimSpace(m[2]); got != want {
				t.Errorf("%s is\n%s\nin the services\n%s", m[1], got, want)
			}
			seen++
		}
	}
	if seen < 10 {
		t.Errorf("%d statements", seen)
	}
}
