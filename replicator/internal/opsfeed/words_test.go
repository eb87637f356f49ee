package opsfeed

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// literals are the strings of a file that pick chooses.
func literals(t *testing.T, file string, pick func(ast.Node) *ast.BasicLit) (all []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if l := pick(n); l != nil && l.Kind == token.STRING {
			text, err := strconv.Unquote(l.Value)
			if err != nil {
				t.Fatal(err)
			}
			if text != "" {
				all = append(all, text)
			}
		}
		return true
	})
	return all
}

// A reason or a kind of error that is added needs a sentence.
func TestEachReasonAndErrorHasWords(t *testing.T) {
	given := literals(t, "../status/reason.go", func(n ast.Node) *ast.BasicLit {
		s, is := n.(*ast.ValueSpec)
		if id, typed := specType(s); !is || !typed || id != "Reason" {
			return nil
		}
		return s.Values[0].(*ast.BasicLit)
	})
	for _, r := range given {
		if text := reasons[status.Reason(r)]; !strings.HasSuffix(text, ".") {
			t.Errorf("%s is told as %q", r, text)
		}
	}
	kinds := literals(t, "../session/errors.go", func(n ast.Node) *ast.BasicLit {
		switch n := n.(type) {
		case *ast.ReturnStmt:
			l, _ := n.Results[0].(*ast.BasicLit)
			return l
		case *ast.CompositeLit:
			if len(n.Elts) == 2 {
				l, _ := n.Elts[1].(*ast.BasicLit)
				return l
			}
		}
		return nil
	})
	for _, k := range kinds {
		if text := failures[k]; !strings.HasSuffix(text, ".") {
			t.Errorf("%s is told as %q", k, text)
		}
	}
	phases := literals(t, "../status/phase.go", func(n ast.Node) *ast.BasicLit {
		s, is := n.(*ast.ValueSpec)
		if id, typed := specType(s); !is || !typed || id != "Phase" {
			return nil
		}
		return s.Values[0].(*ast.BasicLit)
	})
	for _, p := range phases {
		if steps[status.Phase(p)] == "" {
			t.Errorf("%s has no words", p)
		}
	}
	if len(phases) != len(steps) {
		t.Errorf("%d phases, %d steps", len(phases), len(steps))
	}
	if len(given) != len(reasons) || len(kinds) != len(failures) {
		t.Errorf("%d reasons of %d, %d kinds of %d", len(reasons), len(given), len(failures), len(kinds))
	}
}

func specType(s *ast.ValueSpec) (string, bool) {
	if s == nil {
		return "", false
	}
	id, ok := s.Type.(*ast.Ident)
	if !ok {
		return "", false
	}
	return id.Name, true
}
