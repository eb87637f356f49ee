package page

import (
	"errors"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

type problem struct {
	Name, Type, Title, Advice, Example string
	Status                             int
}

// problemsPage is a page of one or of all problems.
type problemsPage struct {
	Title, Text string
	Style       template.HTML
	Problems    []problem
}

// Problems makes the page of all kinds of problems, problems.html, and one for each kind in the folder problems. list is
// docs/PROBLEMS.md, which says what to do; examples are those of the document, where it has one of the kind.
func Problems(list string, kinds []web.Kind, document *openapi3.T, css string) (map[string][]byte, error) {
	intro, _, _ := strings.Cut(list, "\n|")
	_, intro, _ = strings.Cut(intro, "\n") // without the heading
	all, err := described(list, kinds, document)
	errs := []error{err}
	pages := map[string][]byte{}
	add := func(name string, data problemsPage) {
		var err error
		pages[name], err = execute(problems, data)
		errs = append(errs, err)
	}
	add("problems.html", problemsPage{"Problems", intro, styled(css), all})
	for _, p := range all {
		add("problems/"+p.Name+".html", problemsPage{"Problem", "", styled(css), []problem{p}})
	}
	return pages, errors.Join(errs...)
}

func described(list string, kinds []web.Kind, document *openapi3.T) (all []problem, err error) {
	examples := problemExamples(document)
	var errs []error
	for _, k := range kinds {
		p := problem{Name: strings.TrimPrefix(k.URI, "/problems/"), Type: k.URI, Title: k.Title, Status: k.Status, Advice: advice(list, k.URI)}
		if p.Advice == "" {
			errs = append(errs, fmt.Errorf("docs/PROBLEMS.md does not say what to do about %s", k.URI))
		}
		shown, has := examples[k.URI]
		if !has {
			shown = map[string]any{"type": k.URI, "title": k.Title, "status": k.Status, "detail": strings.ToLower(k.Title), "instance": "/v1/raffles/9001/bids#9b1deb4d"}
		}
		var err error
		p.Example, err = example(shown)
		errs = append(errs, err)
		all = append(all, p)
	}
	return all, errors.Join(errs...)
}

// advice is the last cell of the row of a type.
func advice(list, uri string) string {
	for line := range strings.SplitSeq(list, "\n") {
		if cells := strings.Split(line, " | "); len(cells) == 4 && cells[0] == "| `"+uri+"`" {
			return strings.TrimSuffix(cells[3], " |")
		}
	}
	return ""
}

// problemExamples are the examples of the document's common answers, by their type.
func problemExamples(document *openapi3.T) map[string]any {
	found := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(document.Components.Responses)) {
		media := document.Components.Responses[name].Value.Content["application/problem+json"]
		if media == nil {
			continue
		}
		shown, _ := media.Example.(map[string]any)
		if kind, is := shown["type"].(string); is && found[kind] == nil {
			found[kind] = shown
		}
	}
	return found
}
