package api

import (
	"maps"
	"os"
	"slices"
	"testing"

	"gopkg.in/yaml.v3"
)

// The routes and the document agree, and every answer of the document has a schema.
func TestRoutesAgreeWithTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		OpenAPI string `yaml:"openapi"`
		Paths   map[string]map[string]struct {
			OperationID string               `yaml:"operationId"`
			Responses   map[string]yaml.Node `yaml:"responses"`
		} `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	list := (&API{}).routes()
	routes := make([]string, len(list))
	for i, r := range list {
		routes[i] = r.path
	}
	for path, methods := range d.Paths {
		if get, ok := methods["get"]; !ok || len(methods) != 1 || get.OperationID == "" || len(get.Responses) == 0 {
			t.Errorf("%s is documented as %v", path, methods)
		}
	}
	slices.Sort(routes)
	documented := slices.Sorted(maps.Keys(d.Paths))
	if d.OpenAPI != "3.1.0" || !slices.Equal(routes, documented) {
		t.Errorf("routes %v, documented %v", routes, documented)
	}
}
