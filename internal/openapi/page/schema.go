package page

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// field is a property of an object.
type field struct {
	Name, Description string
	Type              template.HTML
	Required          bool
}

// fields are the properties of an object, the required ones first, in the order in which the document requires them.
func fields(s *openapi3.Schema) []field {
	names := slices.Clone(s.Required)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var list []field
	for _, name := range names {
		if p := s.Properties[name]; p != nil && p.Value != nil {
			list = append(list, field{name, describe(p), typeOf(p), slices.Contains(s.Required, name)})
		}
	}
	return list
}

// describe is a schema's own description. A reference leads to that of its target.
func describe(ref *openapi3.SchemaRef) string {
	if ref.Ref != "" {
		return ""
	}
	return ref.Value.Description
}

// typeOf says in short which values a schema allows.
func typeOf(ref *openapi3.SchemaRef) template.HTML {
	if name, named := strings.CutPrefix(ref.Ref, "#/components/schemas/"); named {
		name = template.HTMLEscapeString(name)
		return template.HTML(`<a href="#schema-` + name + `">` + name + `</a>`)
	}
	s := ref.Value
	switch {
	case len(s.OneOf) > 0:
		return either(s.OneOf)
	case s.Items != nil:
		return "list of " + typeOf(s.Items)
	}
	return template.HTML(template.HTMLEscapeString(strings.Join(limits(s), ", ")))
}

func either(refs openapi3.SchemaRefs) template.HTML {
	parts := make([]string, len(refs))
	for i, one := range refs {
		parts[i] = string(typeOf(one))
	}
	return template.HTML(strings.Join(parts, " or "))
}

// limits are the type of a schema and what bounds its values.
func limits(s *openapi3.Schema) []string {
	var out []string
	switch {
	case s.Const != nil:
		return []string{fmt.Sprintf("always %v", s.Const)}
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprint(v)
		}
		out = append(out, "one of "+strings.Join(words, ", "))
	case s.Type != nil:
		out = append(out, strings.Join(s.Type.Slice(), " or "))
	}
	if s.Format != "" {
		out = append(out, s.Format)
	}
	if s.Min != nil {
		out = append(out, fmt.Sprintf("from %.0f", *s.Min))
	}
	if s.Max != nil && *s.Max < 1<<53 {
		out = append(out, fmt.Sprintf("to %.0f", *s.Max))
	}
	if s.MinLength > 0 {
		out = append(out, fmt.Sprintf("at least %d characters", s.MinLength))
	}
	if s.MaxLength != nil {
		out = append(out, fmt.Sprintf("at most %d characters", *s.MaxLength))
	}
	if s.Pattern != "" {
		out = append(out, "pattern "+s.Pattern)
	}
	if s.Default != nil {
		out = append(out, fmt.Sprintf("%v if absent", s.Default))
	}
	return out
}

// example writes a value as a client sees it: texts as they are, anything else as JSON.
func example(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	if text, is := v.(string); is {
		return text, nil
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return strings.TrimSpace(out.String()), err
}
