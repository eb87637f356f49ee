package openapi

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"gopkg.in/yaml.v3"
)

// documents are the text of the joined document and of those that it is joined of.
func documents(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{"openapi.yaml": YAML}
	for _, name := range []string{"command", "query"} {
		text, err := os.ReadFile("../../" + name + "/openapi.yaml")
		if err != nil {
			t.Fatal(err)
		}
		all[name] = text
	}
	return all
}

// check is one document under test.
type check struct {
	*testing.T
	tags []string
	ids  map[string]string
}

// Every operation says what a reader and a generated client need. Validate holds the examples against their schemas.
func TestEveryOperationIsWhole(t *testing.T) {
	for name, text := range documents(t) {
		t.Run(name, func(t *testing.T) {
			document, err := openapi3.NewLoader().LoadFromData(text)
			if err != nil {
				t.Fatal(err)
			}
			if err := document.Validate(t.Context()); err != nil {
				t.Error(err)
			}
			if len(document.Servers) == 0 || document.Info.License == nil || document.Info.Contact == nil {
				t.Error("servers, licence or contact is missing")
			}
			c := &check{T: t, ids: map[string]string{}}
			for _, tag := range document.Tags {
				c.tags = append(c.tags, tag.Name)
			}
			for path, item := range document.Paths.Map() {
				for method, operation := range item.Operations() {
					c.operation(method+" "+path, operation, append(item.Parameters, operation.Parameters...))
				}
			}
		})
	}
}

func (c *check) operation(where string, o *openapi3.Operation, parameters openapi3.Parameters) {
	if other, twice := c.ids[o.OperationID]; twice || o.OperationID == "" {
		c.Errorf("%s: operationId %q, also of %s", where, o.OperationID, other)
	}
	c.ids[o.OperationID] = where
	if o.Summary == "" || o.Description == "" || len(o.Tags) != 1 || !slices.Contains(c.tags, o.Tags[0]) {
		c.Errorf("%s: summary %q, description %q, tags %v", where, o.Summary, o.Description, o.Tags)
	}
	if o.Security == nil {
		c.Errorf("%s does not say whether it needs a token", where)
	}
	for _, p := range parameters {
		if p.Value.Example == nil || p.Value.Description == "" {
			c.Errorf("%s: parameter %s has no example or description", where, p.Value.Name)
		}
	}
	if o.RequestBody != nil {
		c.content(where+" body", o.RequestBody.Value.Content)
	}
	for _, status := range []int{500, 502, 503, 504} { // the front door can always answer these
		if o.Responses.Status(status) == nil {
			c.Errorf("%s has no %d", where, status)
		}
	}
	for status, r := range o.Responses.Map() {
		c.response(where+" "+status, status, r.Value)
	}
}

func (c *check) response(where, status string, r *openapi3.Response) {
	wanted := []string{"X-Request-Id"}
	if status >= "400" {
		wanted = append(wanted, "Cache-Control")
		if r.Content["application/problem+json"] == nil && !strings.HasPrefix(where, http.MethodHead) {
			c.Errorf("%s is no problem document", where)
		}
	}
	if status == "503" || status == "429" {
		wanted = append(wanted, "Retry-After")
	}
	if status == "429" {
		wanted = append(wanted, "RateLimit", "RateLimit-Policy")
	}
	for _, name := range wanted {
		if r.Headers[name] == nil {
			c.Errorf("%s has no header %s", where, name)
		}
	}
	for name, h := range r.Headers {
		if h.Value.Example == nil {
			c.Errorf("%s: header %s has no example", where, name)
		}
	}
	c.content(where, r.Content)
}

// content needs examples of everything but files.
func (c *check) content(where string, content openapi3.Content) {
	for media, m := range content {
		if m.Schema == nil || m.Schema.Value.Format != "binary" && m.Example == nil {
			c.Errorf("%s: %s has no schema or no example", where, media)
		}
	}
}

// Some generators take a property with a default for one that must be sent, and a const or enum without a type for
// anything.
func TestSchemasSuitGenerators(t *testing.T) {
	for name, text := range documents(t) {
		var root yaml.Node
		if err := yaml.Unmarshal(text, &root); err != nil {
			t.Fatal(err)
		}
		walk(&root, name, func(where string, m map[string]*yaml.Node) {
			if (m["const"] != nil || m["enum"] != nil) && m["type"] == nil {
				t.Errorf("%s: const or enum without a type", where)
			}
			if properties := m["properties"]; properties != nil {
				for i := 1; i < len(properties.Content); i += 2 {
					if d := keys(properties.Content[i])["default"]; d != nil {
						t.Errorf("%s: property %s has a default", where, properties.Content[i-1].Value)
					}
				}
			}
		})
	}
}

func keys(n *yaml.Node) map[string]*yaml.Node {
	m := map[string]*yaml.Node{}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		m[n.Content[i].Value] = n.Content[i+1]
	}
	return m
}

// walk visits each mapping but examples.
func walk(n *yaml.Node, where string, visit func(where string, m map[string]*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			walk(c, where, visit)
		}
		return
	}
	visit(where, keys(n))
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i].Value; key != "example" {
			walk(n.Content[i+1], where+" "+key, visit)
		}
	}
}
