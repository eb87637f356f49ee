package join

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// withParameters returns the operation with the parameters of its path before its own.
func withParameters(operation, shared *yaml.Node) *yaml.Node {
	if len(items(shared)) == 0 {
		return operation
	}
	all := list()
	all.Content = append(append(all.Content, items(shared)...), items(get(operation, "parameters"))...)
	out := mapping()
	done := false
	for key, v := range pairs(operation) {
		switch {
		case key.Value == "parameters":
			continue
		case !done && (key.Value == "requestBody" || key.Value == "responses"):
			put(out, "parameters", all)
			done = true
		}
		put(out, key.Value, v)
	}
	return out
}

// complete gives each operation the responses of every, and each GET a HEAD, whose problems are all answered as head says.
func (j *joined) complete(every, head *yaml.Node) {
	for path, item := range pairs(j.paths) {
		for method, operation := range pairs(item) {
			responses := get(operation, "responses")
			if responses == nil {
				j.fail("%s %s has no responses", method.Value, path.Value)
				continue
			}
			for status, answer := range pairs(every) {
				if get(responses, status.Value) == nil {
					put(responses, status.Value, answer)
				}
			}
			sortByKey(responses)
		}
		if read := get(item, "get"); read != nil && head != nil {
			put(item, "head", headOf(read, head))
		}
	}
}

// sortByKey puts the statuses into their order.
func sortByKey(m *yaml.Node) {
	for i := 2; i < len(m.Content); i += 2 { // insertion, because nearly all are in order
		for k := i; k > 0 && m.Content[k].Value < m.Content[k-2].Value; k -= 2 {
			m.Content[k], m.Content[k-2] = m.Content[k-2], m.Content[k]
			m.Content[k+1], m.Content[k-1] = m.Content[k-1], m.Content[k+1]
		}
	}
}

// headOf makes the HEAD of a GET: the same parameters and headers, and no body (RFC 9110, section 9.3.2).
func headOf(read, problem *yaml.Node) *yaml.Node {
	out := mapping()
	for key, v := range pairs(read) {
		switch key.Value {
		case "operationId":
			v = text("head" + strings.ToUpper(v.Value[:1]) + v.Value[1:])
		case "summary":
			v = text(strings.TrimSuffix(v.Value, ".") + ": the headers alone")
		case "description":
			v = text("What the GET answers, without a body.")
		case "responses":
			v = headersOf(v, problem)
		}
		put(out, key.Value, v)
	}
	return out
}

func headersOf(responses, problem *yaml.Node) *yaml.Node {
	out := mapping()
	for status, answer := range pairs(responses) {
		if status.Value >= "400" {
			continue
		}
		bare := mapping()
		for key, v := range pairs(answer) {
			if key.Value != "content" {
				put(bare, key.Value, v)
			}
		}
		put(out, status.Value, bare)
	}
	for _, class := range []string{"4XX", "5XX"} {
		put(out, class, problem)
	}
	return out
}
