package testenv

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPostgresIsTheNewestUnlessOneIsChosen(t *testing.T) {
	t.Parallel()
	install := func(programs ...string) string {
		dir := t.TempDir()
		for _, p := range programs {
			path := filepath.Join(dir, p)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	both := install("14/bin/postgres", "15/bin/postgres", "17/bin/postgres", "19/bin/postgres")
	clientOnly := install("15/bin/postgres", "18/bin/psql")
	for _, c := range []struct{ chosen, versions, want, complaint string }{
		{"", both, filepath.Join(both, "17/bin"), ""},
		{"", clientOnly, filepath.Join(clientOnly, "15/bin"), ""},
		{"/opt/postgres/bin", both, "/opt/postgres/bin", ""},
		{"postgres/bin", both, "", "PG_BIN=postgres/bin"},
		{"", install("14/bin/postgres"), "", "package postgresql-15"},
	} {
		got, err := postgresBin(c.chosen, c.versions)
		if got != c.want || (err == nil) != (c.complaint == "") || err != nil && !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("PG_BIN=%q: %q, %v, want %q, %q", c.chosen, got, err, c.want, c.complaint)
		}
	}
}
