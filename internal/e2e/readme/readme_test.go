package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Both languages have the same sections, tables and lines to run, so that what is run of one holds for the other.
func TestBothLanguagesSayTheSame(t *testing.T) {
	english, korean := read(t, "README.md"), read(t, "README.ko.md")
	if a, b := blockLines(english), blockLines(korean); !slices.Equal(a, b) {
		t.Errorf("code blocks:\n%s\n\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	a, b := inlineCommands(english), inlineCommands(korean)
	slices.Sort(a)
	slices.Sort(b)
	if !slices.Equal(a, b) {
		t.Errorf("commands:\n%s\n\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	for what, pattern := range map[string]string{"sections": `(?m)^## `, "rows": `(?m)^\| `, "links": `\]\(`} {
		re := regexp.MustCompile(pattern)
		if a, b := len(re.FindAllString(english, -1)), len(re.FindAllString(korean, -1)); a != b {
			t.Errorf("%d and %d %s", a, b, what)
		}
	}
}

// Each command is run, or it is in the list of those that are not, and the lists name no others.
func TestEveryCommandIsRunOrLeftOutForAReason(t *testing.T) {
	english := read(t, "README.md")
	lines, commands := blockLines(english), inlineCommands(english)
	for _, c := range commands {
		if _, not := left[c]; !not && !slices.Contains(after, c) && !slices.Contains(lines, c) {
			t.Errorf("%s is neither run nor left out", c)
		}
	}
	named := slices.Concat(lines, commands)
	for c := range left {
		if !slices.Contains(named, c) {
			t.Errorf("%s is left out, but the README does not have it", c)
		}
	}
	for line := range otherwise {
		if !slices.Contains(lines, line) {
			t.Errorf("no line %s", line)
		}
	}
}
