// Package join makes one OpenAPI document of those of the services, with what the front door adds to both.
package join

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"gopkg.in/yaml.v3"
)

// Source is a document and its name in errors.
type Source struct {
	Name string
	Text []byte
}

// Join joins documents. The front door's gives the head (openapi, info, servers) and two extensions, which the result
// lacks: x-any has the responses that every operation may have, x-head the answer to HEAD for all problems of a GET.
// Each GET gets a HEAD. A component that two documents have must be the same in both, and so must a tag. No operation may
// be in two documents. The error names all that differs.
func Join(front Source, services ...Source) ([]byte, error) {
	j := joined{tags: list(), paths: mapping(), components: mapping(), from: map[string]string{}, templates: map[string]string{}}
	roots := make([]*yaml.Node, 0, len(services)+1)
	for _, s := range append(slices.Clone(services), front) {
		var document yaml.Node
		if err := yaml.Unmarshal(s.Text, &document); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		if len(document.Content) != 1 {
			return nil, fmt.Errorf("%s is empty", s.Name)
		}
		roots = append(roots, document.Content[0])
		j.add(s.Name, document.Content[0])
	}
	head := roots[len(roots)-1]
	j.complete(get(head, "x-any"), get(head, "x-head"))
	if err := errors.Join(j.wrong...); err != nil {
		return nil, err
	}
	whole := mapping()
	for _, key := range []string{"openapi", "info", "servers"} {
		put(whole, key, cmp.Or(get(head, key), mapping()))
	}
	put(whole, "tags", j.tags)
	put(whole, "paths", j.paths)
	put(whole, "components", j.components)
	return encode(whole)
}

func encode(whole *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	err := e.Encode(whole)
	return out.Bytes(), errors.Join(err, e.Close())
}

// joined is a document that grows.
type joined struct {
	tags, paths, components *yaml.Node
	from                    map[string]string // what was added -> the document that had it
	templates               map[string]string // path without the names of its parameters -> path
	wrong                   []error
}

func (j *joined) fail(format string, args ...any) {
	j.wrong = append(j.wrong, fmt.Errorf(format, args...))
}

func (j *joined) add(name string, root *yaml.Node) {
	for _, tag := range items(get(root, "tags")) {
		j.addTag(name, tag)
	}
	for path, item := range pairs(get(root, "paths")) {
		j.addPath(name, path.Value, item)
	}
	for section, members := range pairs(get(root, "components")) {
		if get(j.components, section.Value) == nil {
			put(j.components, section.Value, mapping())
		}
		for member, content := range pairs(members) {
			j.addComponent(name, section.Value, member.Value, content)
		}
	}
}

func (j *joined) addTag(name string, tag *yaml.Node) {
	for _, there := range j.tags.Content {
		if value(there, "name") == value(tag, "name") {
			if !same(there, tag) {
				j.fail("tag %s of %s is another one elsewhere", value(tag, "name"), name)
			}
			return
		}
	}
	j.tags.Content = append(j.tags.Content, tag)
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// addPath adds the operations of a path. Parameters of the path become those of each operation.
func (j *joined) addPath(name, path string, item *yaml.Node) {
	template := parameter.ReplaceAllString(path, "{}")
	if there, known := j.templates[template]; known && there != path {
		j.fail("%s: %s is %s elsewhere", name, path, there)
	}
	j.templates[template] = path
	whole := get(j.paths, path)
	if whole == nil {
		whole = mapping()
		put(j.paths, path, whole)
	}
	for method, operation := range pairs(item) {
		if method.Value == "parameters" {
			continue
		}
		j.claim(name, "operation "+method.Value+" "+path)
		j.claim(name, "operationId "+value(operation, "operationId"))
		put(whole, method.Value, withParameters(operation, get(item, "parameters")))
	}
}

// claim fails if another document has the same.
func (j *joined) claim(name, what string) {
	if other, there := j.from[what]; there {
		j.fail("%s is in %s and in %s", what, other, name)
	}
	j.from[what] = name
}

func (j *joined) addComponent(name, section, member string, content *yaml.Node) {
	key := section + "." + member
	members := get(j.components, section)
	if there := get(members, member); there == nil {
		put(members, member, content)
		j.from[key] = name
	} else if !same(there, content) {
		j.fail("component %s differs in %s and %s", key, j.from[key], name)
	}
}
