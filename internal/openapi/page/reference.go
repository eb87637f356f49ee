package page

import (
	"errors"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

type (
	tag struct {
		Name, Description string
		Operations        []operation
	}
	operation struct {
		ID, Method, Path, Summary, Description string
		Token                                  bool
		Parameters                             []parameter
		Body                                   *content
		Answers                                []answer
		Common                                 []link
	}
	// link leads from a status to an answer that several operations have.
	link      struct{ Status, Name string }
	parameter struct {
		field
		In, Example string
	}
	answer struct {
		Name, Brief, Description string // the name is the status, or that of the component
		Headers                  []field
		Content                  []content
	}
	content struct {
		Media, Example string
		Type           template.HTML
	}
)

// builder collects the errors of the parts.
type builder struct{ errs []error }

// Reference makes the page of all operations and schemas. HEAD is left out, because it is as GET.
func Reference(document *openapi3.T, css string) ([]byte, error) {
	var b builder
	data := struct {
		Title, Description string
		Style              template.HTML
		Tags               []tag
		Common             []answer
		Schemas            []schema
	}{document.Info.Title, document.Info.Description, styled(css), b.tags(document), b.common(document), schemas(document)}
	page, err := execute(reference, data)
	return page, errors.Join(append(b.errs, err)...)
}

type schema struct {
	Name, Description string
	Type              template.HTML
	Fields            []field
}

func schemas(document *openapi3.T) []schema {
	var list []schema
	for _, name := range slices.Sorted(maps.Keys(document.Components.Schemas)) {
		ref := document.Components.Schemas[name]
		list = append(list, schema{name, ref.Value.Description, typeOf(ref), fields(ref.Value)})
	}
	return list
}

func (b *builder) tags(document *openapi3.T) []tag {
	list := make([]tag, len(document.Tags))
	for i, t := range document.Tags {
		list[i] = tag{Name: t.Name, Description: t.Description}
		for _, path := range slices.Sorted(maps.Keys(document.Paths.Map())) {
			operations := document.Paths.Value(path).Operations()
			for _, method := range slices.Sorted(maps.Keys(operations)) {
				if o := operations[method]; method != "HEAD" && slices.Contains(o.Tags, t.Name) {
					list[i].Operations = append(list[i].Operations, b.operation(method, path, o))
				}
			}
		}
	}
	return list
}

func (b *builder) operation(method, path string, o *openapi3.Operation) operation {
	out := operation{ID: o.OperationID, Method: method, Path: path, Summary: strings.TrimSuffix(o.Summary, ".") + ".",
		Description: o.Description, Token: o.Security != nil && len(*o.Security) > 0}
	for _, ref := range o.Parameters {
		p := ref.Value
		out.Parameters = append(out.Parameters, parameter{field{p.Name, p.Description, typeOf(p.Schema), p.Required}, p.In, b.example(p.Example)})
	}
	if o.RequestBody != nil {
		for _, c := range b.content(o.RequestBody.Value.Content) {
			out.Body = &c
		}
	}
	for _, status := range slices.Sorted(maps.Keys(o.Responses.Map())) {
		ref := o.Responses.Value(status)
		if name, common := strings.CutPrefix(ref.Ref, "#/components/responses/"); common {
			out.Common = append(out.Common, link{status, name})
			continue
		}
		out.Answers = append(out.Answers, b.answer(status, ref.Value))
	}
	return out
}

// common are the answers that several operations have.
func (b *builder) common(document *openapi3.T) []answer {
	var list []answer
	for _, name := range slices.Sorted(maps.Keys(document.Components.Responses)) {
		list = append(list, b.answer(name, document.Components.Responses[name].Value))
	}
	return list
}

func (b *builder) answer(name string, r *openapi3.Response) answer {
	a := answer{Name: name, Content: b.content(r.Content)}
	if r.Description != nil {
		a.Brief, a.Description = brief(*r.Description)
	}
	for _, header := range slices.Sorted(maps.Keys(r.Headers)) {
		a.Headers = append(a.Headers, field{Name: header, Required: r.Headers[header].Value.Required})
	}
	return a
}

// brief divides a description into what fits the line of a status and the rest.
func brief(text string) (line, rest string) {
	text = strings.TrimSpace(text)
	if len(text) > 90 || strings.ContainsAny(text, "\n`") {
		return "", text
	}
	return text, ""
}

func (b *builder) content(media openapi3.Content) []content {
	var list []content
	for _, name := range slices.Sorted(maps.Keys(media)) {
		if m := media[name]; m.Schema != nil {
			list = append(list, content{name, b.example(m.Example), typeOf(m.Schema)})
		}
	}
	return list
}

func (b *builder) example(v any) string {
	text, err := example(v)
	if err != nil {
		b.errs = append(b.errs, err)
	}
	return text
}
