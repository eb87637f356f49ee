package migrations

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// firstHeld is the first migration that the rule of upgrades (CONTRIBUTING.md) holds. Earlier ones were never run beside an
// older release.
const firstHeld = "00008"

// narrowing are statements that may break programs of the last release, which run while and after the migration runs.
var narrowing = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"DROP", regexp.MustCompile(`(?i)\bDROP\b`)},
	{"RENAME", regexp.MustCompile(`(?i)\bRENAME\b`)},
	{"another type", regexp.MustCompile(`(?is)\bALTER\s+(COLUMN\s+)?\w+\s+(SET\s+DATA\s+)?TYPE\b`)},
	{"NOT NULL for old rows", regexp.MustCompile(`(?is)\bSET\s+NOT\s+NULL\b`)},
	{"a new constraint", regexp.MustCompile(`(?is)\bADD\s+(CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)\b|\bCREATE\s+UNIQUE\s+INDEX\b`)},
	{"another function under the name", regexp.MustCompile(`(?is)\bCREATE\s+OR\s+REPLACE\b`)},
	{"REVOKE", regexp.MustCompile(`(?i)\bREVOKE\b`)},
	{"rows removed", regexp.MustCompile(`(?is)\bTRUNCATE\b|\bDELETE\s+FROM\b`)},
	{"another publication", regexp.MustCompile(`(?is)\bALTER\s+PUBLICATION\b`)},
}

var (
	addColumn  = regexp.MustCompile(`(?is)\bADD\s+COLUMN\b[^,;]*\bNOT\s+NULL\b[^,;]*`)
	hasDefault = regexp.MustCompile(`(?i)\bDEFAULT\b|\bGENERATED\b`)
	contractOf = regexp.MustCompile(`(?m)^-- contract of (\d{5}_\w+\.sql)\b`)
	compatible = regexp.MustCompile(`(?m)^-- compatible: \S`)
)

// narrowings returns what in the Up part of a migration is neither an expansion nor marked. A mark is a comment above the
// statement: "-- contract of 00008_name.sql", which names the expansion of an earlier release, or "-- compatible: why".
func narrowings(name, text string) (list []string) {
	up, _, _ := strings.Cut(text, "-- +goose Down")
	for _, s := range statements(up) {
		if of := contractOf.FindStringSubmatch(s); of != nil && of[1] < name && hasFile(of[1]) || compatible.MatchString(s) {
			continue
		}
		code := withoutComments(s)
		for _, n := range narrowing {
			if n.pattern.MatchString(code) {
				list = append(list, n.what+": "+strings.TrimSpace(code))
			}
		}
		for _, column := range addColumn.FindAllString(code, -1) {
			if !hasDefault.MatchString(column) {
				list = append(list, "a column that old writers do not fill: "+strings.TrimSpace(column))
			}
		}
	}
	return list
}

// statements splits at semicolons that end a line, outside of goose's blocks. The comments before a statement are part of it.
func statements(text string) (list []string) {
	var s strings.Builder
	block := false
	for line := range strings.Lines(text) {
		switch strings.TrimSpace(line) {
		case "-- +goose StatementBegin":
			block = true
			continue
		case "-- +goose StatementEnd":
			block = false
		default:
			s.WriteString(line)
			if block || !strings.HasSuffix(strings.TrimSpace(line), ";") {
				continue
			}
		}
		list = append(list, s.String())
		s.Reset()
	}
	return append(list, s.String())
}

func withoutComments(text string) string {
	var s strings.Builder
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "--")
		s.WriteString(strings.TrimRight(code, " \n") + "\n")
	}
	return s.String()
}

func hasFile(name string) bool {
	_, err := fs.Stat(files, name)
	return err == nil
}

// Programs of the last release run beside a migration and after it. So a migration only adds, unless a mark says why not.
func TestMigrationsOnlyExpand(t *testing.T) {
	list, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if name < firstHeld {
			continue
		}
		for _, what := range narrowings(name, string(text)) {
			t.Errorf("%s: %s", name, what)
		}
	}
}

func TestWhatIsNoExpansion(t *testing.T) {
	for _, c := range []struct {
		sql  string
		want int
	}{
		{"CREATE TABLE x (id bigint PRIMARY KEY, at date NOT NULL);\nGRANT SELECT ON x TO query;\nCREATE INDEX ON x (at);", 0},
		{"ALTER TABLE bids ADD COLUMN a text, ADD COLUMN b int NOT NULL DEFAULT 1;", 0},
		{"-- DROP is only named here\nCREATE TABLE dropped (id int);", 0},
		{"-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\n  SELECT 1;\n$$\n-- +goose StatementEnd\n", 0},
		{"ALTER TABLE bids ADD COLUMN b int NOT NULL;", 1},
		{"ALTER TABLE bids DROP COLUMN price;", 1},
		{"drop table bids;\nALTER TABLE raffles RENAME TO auctions;", 2},
		{"ALTER TABLE bids ALTER COLUMN price TYPE bigint;", 1},
		{"ALTER TABLE bids\n    ALTER price SET DATA TYPE bigint;", 1},
		{"ALTER TABLE raffles ALTER closed_at SET NOT NULL;", 1},
		{"ALTER TABLE bids ADD CONSTRAINT c CHECK (price < 9);\nCREATE UNIQUE INDEX i ON bids (id);", 2},
		{"-- +goose StatementBegin\nCREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS $$\n  SELECT 1;\n$$\n-- +goose StatementEnd\n", 1},
		{"REVOKE SELECT ON bids FROM query;\nTRUNCATE bids;\nDELETE FROM bids;\nALTER PUBLICATION pyramid ADD TABLE x;", 4},
		{"-- compatible: the same answer, faster\nCREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;", 0},
		{"-- contract of 00007_keys.sql\nDROP INDEX x;\nDROP INDEX y;", 1},
		{"-- contract of 00006_nothing.sql\nDROP INDEX x;", 1},
		{"-- contract of 00009_later.sql\nDROP INDEX x;", 1},
		{"CREATE TABLE x (id int);\n-- +goose Down\nDROP TABLE x;", 0},
	} {
		if got := narrowings("00008_new.sql", "-- +goose Up\n"+c.sql); len(got) != c.want {
			t.Errorf("%s\n%d findings, want %d: %q", c.sql, len(got), c.want, got)
		}
	}
}
