package pg

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestRefreshTakesThePasswordOfTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pgpass")
	config, err := pgconn.ParseConfig("postgres://query:first@127.0.0.1:1/pyramid?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGPASSFILE", file)
	for _, c := range []struct{ content, want string }{
		{"", "first"}, {"*:*:*:query:second\n", "second"}, {"*:*:*:command:third\n", "second"}, {"127.0.0.1:1:pyramid:query:fourth\n", "fourth"},
	} {
		if c.content != "" {
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if Refresh(config); config.Password != c.want {
			t.Errorf("%q: %s, want %s", c.content, config.Password, c.want)
		}
	}
}
