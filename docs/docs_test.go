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
