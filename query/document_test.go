package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

var documented = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, err
	}
	return gorillamux.NewRouter(doc)
})

func init() { openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder) }

func TestDocumentIsValid(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

// holdEvent fails the test if the document doesn't describe an event of the feed. An event whose name was read before is
// not compared.
func holdEvent(t testing.TB, event map[string]string) {
	t.Helper()
	if event["event"] == "" {
		return
	}
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	var data any
	if err := json.Unmarshal([]byte(event["data"]), &data); err != nil {
		t.Fatal(err)
	}
	value := map[string]any{"event": event["event"], "id": event["id"], "data": data}
	if err := doc.Components.Schemas["FeedEvent"].Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("the document does not describe %v: %v", value, err)
	}
}

// holdToDocument fails the test if the document doesn't describe the answer to a GET.
func holdToDocument(t testing.TB, path string, a answer) {
	t.Helper()
	router, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	route, params, err := router.FindRoute(r)
	if err != nil {
		if a.status != http.StatusNotFound {
			t.Errorf("GET %s: %d, and not in the document: %v", path, a.status, err)
		}
		return
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader([]byte(a.body))),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("GET %s: the document does not describe this %d: %v", path, a.status, err)
	}
}
