package join

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const front = `openapi: 3.1.0
info: { title: whole, version: "1" }
servers: [{ url: / }]
x-any: { "405": { description: wrong method } }
x-head: { description: nothing }
`

const writes = `tags: [{ name: bids, description: Bids }]
paths:
  /bids/{id}:
    parameters: [{ name: id, in: path }]
    delete: { operationId: cancel, responses: { "204": { description: gone }, "405": { description: mine } } }
components: { schemas: { Bid: { type: object, title: a } } }
`

const reads = `tags: [{ description: Bids, name: bids }]
paths:
  /bids/{id}:
    get:
      operationId: read
      summary: One bid.
      parameters: [{ name: id, in: path }]
      responses:
        "404": { description: none, content: { application/json: {} } }
        "200": { description: it, headers: { A: {} }, content: { application/json: {} } }
components: { schemas: { Bid: { title: a, type: object } } }
`

const whole = `openapi: 3.1.0
info: {title: whole, version: "1"}
servers: [{url: /}]
tags:
  - {name: bids, description: Bids}
paths:
  /bids/{id}:
    delete:
      operationId: cancel
      parameters:
        - {name: id, in: path}
      responses: {"204": {description: gone}, "405": {description: mine}}
    get:
      operationId: read
      summary: One bid.
      parameters: [{name: id, in: path}]
      responses:
        "200": {description: it, headers: {A: {}}, content: {application/json: {}}}
        "404": {description: none, content: {application/json: {}}}
        "405": {description: wrong method}
    head:
      operationId: headRead
      summary: 'One bid: the headers alone'
      parameters: [{name: id, in: path}]
      responses:
        "200":
          description: it
          headers: {A: {}}
        "4XX": {description: nothing}
        "5XX": {description: nothing}
components:
  schemas:
    Bid: {type: object, title: a}
`

func TestJoin(t *testing.T) {
	text, err := Join(Source{"front", []byte(front)}, Source{"writes", []byte(writes)}, Source{"reads", []byte(reads)})
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != whole {
		t.Errorf("got\n%s\nwant\n%s", text, whole)
	}
}

// What the documents do not agree on is refused, and named.
func TestJoinNamesWhatDiffers(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"Bids, name", "Other bids, name", "tag bids of reads"},
		{"title: a", "title: b", "component schemas.Bid differs in writes and reads"},
		{"/bids/{id}", "/bids/{bid_id}", "/bids/{bid_id} is /bids/{id} elsewhere"},
		{"get:", "delete:", "operation delete /bids/{id} is in writes and in reads"},
		{"operationId: read", "operationId: cancel", "operationId cancel is in writes and in reads"},
	} {
		other := strings.Replace(reads, c.from, c.to, 1)
		_, err := Join(Source{"front", []byte(front)}, Source{"writes", []byte(writes)}, Source{"reads", []byte(other)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.to, err, c.want)
		}
	}
	for _, text := range []string{"", "a: [", "paths: { /a: { get: { operationId: a } } }"} {
		if out, err := Join(Source{"front", []byte(front)}, Source{"reads", []byte(text)}); err == nil {
			t.Errorf("%q became %s", text, out)
		}
	}
}

// How a document is written makes no difference.
func TestSameComparesContent(t *testing.T) {
	var a, b yaml.Node
	for text, node := range map[string]*yaml.Node{"{a: 1, b: [x]}": &a, "b:\n- x\na: 1\n": &b} {
		if err := yaml.Unmarshal([]byte(text), node); err != nil {
			t.Fatal(err)
		}
	}
	if !same(&a, &b) {
		t.Error("the same content differs")
	}
}
