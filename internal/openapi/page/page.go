// Package page makes the pages for people of the joined OpenAPI document and of the list of problems. They have no script
// and load nothing.
package page

import (
	"bytes"
	_ "embed" // for the templates
	"html/template"
	"regexp"
	"strings"
)

var (
	//go:embed reference.tmpl
	referenceText string
	//go:embed problems.tmpl
	problemsText string

	functions = template.FuncMap{"prose": prose, "inline": inline}
	reference = template.Must(template.New("reference").Funcs(functions).Parse(referenceText))
	problems  = template.Must(template.New("problems").Funcs(functions).Parse(problemsText))
)

// styled is the style of a page, word for word, because the policy of the page has its hash.
func styled(css string) template.HTML { return template.HTML("<style>" + css + "</style>") }

func execute(t *template.Template, data any) ([]byte, error) {
	var out bytes.Buffer
	err := t.Execute(&out, data)
	return out.Bytes(), err
}

var (
	paragraph = regexp.MustCompile(`\n\s*\n`)
	code      = regexp.MustCompile("`([^`]*)`")
)

// prose makes paragraphs of a description.
func prose(text string) template.HTML {
	var out strings.Builder
	for _, part := range paragraph.Split(strings.TrimSpace(text), -1) {
		if part != "" {
			out.WriteString("<p>" + string(inline(part)) + "</p>")
		}
	}
	return template.HTML(out.String())
}

// inline escapes a text and shows what stands between backticks as code.
func inline(text string) template.HTML {
	return template.HTML(code.ReplaceAllString(template.HTMLEscapeString(text), "<code>$1</code>"))
}
