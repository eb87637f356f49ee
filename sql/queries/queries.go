// Package queries holds the statements of the read side as text. sqlc makes the services' code of the same files, so
// what is explained here is what they prepare.
package queries

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed read/*.sql
var files embed.FS

var (
	comment   = regexp.MustCompile(`(?m)^--.*\n`)
	parameter = regexp.MustCompile(`@[a-z_]+`)
)

// Read returns the statement of a name in the form in which it is prepared: without comments, its parameters numbered
// in the order in which they first appear. It panics if there is none.
func Read(name string) string {
	entries, err := files.ReadDir("read")
	if err != nil {
		panic("queries: " + err.Error()) // the folder is part of the program
	}
	for _, e := range entries {
		text, err := files.ReadFile("read/" + e.Name())
		if err != nil {
			panic("queries: " + err.Error())
		}
		if _, rest, found := strings.Cut(string(text), "-- name: "+name+" :"); found {
			statement, _, _ := strings.Cut(comment.ReplaceAllString("--"+rest, ""), ";")
			return number(statement)
		}
	}
	panic("queries: there is no statement " + name)
}

func number(statement string) string {
	var names []string
	return parameter.ReplaceAllStringFunc(statement, func(name string) string {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		return fmt.Sprintf("$%d", slices.Index(names, name)+1)
	})
}
