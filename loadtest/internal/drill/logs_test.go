package drill

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewErrorsInLogsAreFound(t *testing.T) {
	folder := t.TempDir()
	l := &logs{folder: folder, read: make(map[string]int64)}
	if _, err := l.news(); err == nil {
		t.Error("a folder without logs is no error")
	}
	write := func(name, text string, flag int) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(folder, name), os.O_CREATE|os.O_WRONLY|flag, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want ...string) {
		t.Helper()
		found, err := l.news()
		if err != nil || len(found) != len(want) {
			t.Fatalf("%v: %q, want %q", err, found, want)
		}
		for i := range want {
			if !strings.HasPrefix(found[i], want[i]) {
				t.Errorf("%q, want %q", found[i], want[i])
			}
		}
	}
	write("postgres-1.log", "2026 FATAL:  the database system is starting up\n", os.O_APPEND)
	expect("postgres-1.log: 2026 FATAL")
	expect()
	write("postgres-1.log", "2026 LOG:  all is well\n2026 query@pyramid query ERROR:  canceling statement due to user request\n", os.O_APPEND)
	expect()
	write("query-1.log", `{"level":"ERROR","msg":"x"}`+"\n"+`{"level":"WARN","msg":"no ERRORS here"}`+"\n", os.O_APPEND)
	write("prometheus.log", "ts=1 level=error msg=x\n", os.O_APPEND)
	expect("prometheus.log: ts=1", `query-1.log: {"level":"ERROR"`)
	write("postgres-1.log", "PANIC:  x\n", os.O_TRUNC) // rotated
	expect("postgres-1.log: PANIC")
}
