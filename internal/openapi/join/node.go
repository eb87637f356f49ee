package join

import (
	"iter"
	"reflect"

	"gopkg.in/yaml.v3"
)

// mapping makes an empty mapping.
func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

// list makes an empty sequence.
func list() *yaml.Node { return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"} }

// text makes a string.
func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// pairs are the keys and values of a mapping, in their order. Without a mapping there are none.
func pairs(m *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(*yaml.Node, *yaml.Node) bool) {
		if m == nil || m.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(m.Content); i += 2 {
			if !yield(m.Content[i], m.Content[i+1]) {
				return
			}
		}
	}
}

// items are those of a sequence. Without a sequence there are none.
func items(l *yaml.Node) []*yaml.Node {
	if l == nil || l.Kind != yaml.SequenceNode {
		return nil
	}
	return l.Content
}

// get returns the value of a key, or nil.
func get(m *yaml.Node, key string) *yaml.Node {
	for k, v := range pairs(m) {
		if k.Value == key {
			return v
		}
	}
	return nil
}

// value is the scalar of a key, or "".
func value(m *yaml.Node, key string) string {
	if v := get(m, key); v != nil {
		return v.Value
	}
	return ""
}

// put adds a key, which the mapping must not have.
func put(m *yaml.Node, key string, v *yaml.Node) {
	name := text(key)
	if len(key) > 0 && key[0] >= '0' && key[0] <= '9' {
		name.Style = yaml.DoubleQuotedStyle // a status is a string
	}
	m.Content = append(m.Content, name, v)
}

// same says whether two nodes have the same content, however it is written.
func same(a, b *yaml.Node) bool {
	var x, y any
	return a.Decode(&x) == nil && b.Decode(&y) == nil && reflect.DeepEqual(x, y)
}
