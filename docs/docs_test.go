// Package docs holds the documents against the code.
package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var testName = regexp.MustCompile(`\bTest[A-Z]\w+`)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The documents name the tests behind each promise and each rule. They must exist.
func TestTheTestsNamedInTheDocumentsExist(t *testing.T) {
	exists := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(source), -1) {
			exists[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range []string{"CONSISTENCY.md", "RULES.md"} {
		named := testName.FindAllString(read(t, document), -1)
		if len(named) < 20 {
			t.Errorf("%s names %d tests", document, len(named))
		}
		for _, name := range named {
			if !exists[name] {
				t.Errorf("%s names %s, which does not exist", document, name)
			}
		}
	}
}

// The glossary and the list "where do I find" name files and, most of them, what is in there.
func TestTheNamedPlacesExist(t *testing.T) {
	place := regexp.MustCompile("^(?:`(\\w+)` in |package )?([\\w./-]+)$")
	rows := 0
	for _, line := range strings.Split(read(t, "GLOSSARY.md"), "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || strings.HasPrefix(line, "| word") {
			continue
		}
		rows++
		m := place.FindStringSubmatch(strings.TrimSuffix(cells[2], " |"))
		if m == nil {
			t.Errorf("%s", line)
			continue
		}
		exists(t, m[2], m[1])
	}
	if rows < 30 {
		t.Errorf("the glossary has %d words", rows)
	}
	_, list, _ := strings.Cut(read(t, "../ARCHITECTURE.md"), "## Where do I find")
	list, _, _ = strings.Cut(list, "\n## ")
	named := regexp.MustCompile("`([\\w-]+(?:/[\\w.-]+)+)`(?: \\(`(\\w+)`\\))?").FindAllStringSubmatch(list, -1)
	if len(named) < 16 {
		t.Errorf("the list names %d files", len(named))
	}
	for _, m := range named {
		exists(t, m[1], m[2])
	}
}

// exists fails the test unless there is such a file or folder, and the file has the name, if one is given.
func exists(t *testing.T, path, name string) {
	t.Helper()
	if _, err := os.Stat("../" + path); err != nil {
		t.Error(err)
	} else if name != "" && !regexp.MustCompile(`\b`+name+`\b`).MatchString(read(t, "../"+path)) {
		t.Errorf("%s has no %s", path, name)
	}
}

// Each rule has a line, and is in the name of each test that the line names.
func TestEachRuleIsHeldByTests(t *testing.T) {
	lines := map[string]string{}
	for _, line := range strings.Split(read(t, "RULES.md"), "\n") {
		if rule := regexp.MustCompile(`^\| ([WRP]\d+) \|`).FindStringSubmatch(line); rule != nil {
			lines[rule[1]] = line
		}
	}
	for kind, last := range map[string]int{"W": 7, "R": 8, "P": 13} {
		for n := 1; n <= last; n++ {
			rule := fmt.Sprintf("%s%d", kind, n)
			named := testName.FindAllString(lines[rule], -1)
			if len(named) == 0 {
				t.Errorf("no test is named for %s", rule)
			}
			for _, name := range named {
				if !strings.Contains(name+"_", "_"+rule+"_") {
					t.Errorf("%s names %s, which does not say so", rule, name)
				}
			}
		}
	}
}
