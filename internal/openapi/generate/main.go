// Command generate joins the OpenAPI documents of the services and makes the pages of the result, for internal/openapi.
// It runs at the root of the repository.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/getkin/kin-openapi/openapi3"
	"gopkg.in/yaml.v3"

	"github.com/stock-pyramid/stock-pyramid/internal/openapi/join"
	"github.com/stock-pyramid/stock-pyramid/internal/openapi/page"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// folder is where the files lie, from the root of the repository.
const folder = "internal/openapi"

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	pages := filepath.Join(root, folder, "problems")
	if err := errors.Join(os.RemoveAll(pages), os.Mkdir(pages, 0o755)); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, folder, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the files by their names.
func generate(root string) (map[string][]byte, error) {
	text, err := readAll(root, folder+"/front.yaml", "command/openapi.yaml", "query/openapi.yaml", "docs/PROBLEMS.md", folder+"/style.css")
	if err != nil {
		return nil, err
	}
	whole, err := join.Join(join.Source{Name: "front.yaml", Text: text[0]},
		join.Source{Name: "command/openapi.yaml", Text: text[1]}, join.Source{Name: "query/openapi.yaml", Text: text[2]})
	if err != nil {
		return nil, err
	}
	document, err := openapi3.NewLoader().LoadFromData(whole)
	if err != nil {
		return nil, err
	}
	if err := document.Validate(context.Background()); err != nil {
		return nil, err
	}
	reference, err1 := page.Reference(document, string(text[4]))
	problems, err2 := page.Problems(string(text[3]), web.Kinds, document, string(text[4]))
	inJSON, err3 := toJSON(whole)
	const note = "# Made by `make generate` of command/openapi.yaml, query/openapi.yaml and internal/openapi/front.yaml.\n"
	files := map[string][]byte{"openapi.yaml": append([]byte(note), whole...), "openapi.json": inJSON, "reference.html": reference}
	maps.Copy(files, problems)
	return files, errors.Join(err1, err2, err3)
}

func readAll(root string, names ...string) ([][]byte, error) {
	out := make([][]byte, len(names))
	for i, name := range names {
		var err error
		if out[i], err = os.ReadFile(filepath.Join(root, name)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func toJSON(document []byte) ([]byte, error) {
	var v any
	if err := yaml.Unmarshal(document, &v); err != nil {
		return nil, err
	}
	out, err := json.Marshal(v)
	return append(out, '\n'), err
}
