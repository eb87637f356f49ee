package testenv

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector takes traces as an OpenTelemetry collector does, by OTLP over HTTP.
type Collector struct {
	// URL is for OTEL_EXPORTER_OTLP_ENDPOINT.
	URL string

	mu    sync.Mutex
	spans []Span
}

// Span is a span that was received.
type Span struct {
	Service, Name     string
	Trace, ID, Parent string // hexadecimal
	Begin, End        uint64 // nanoseconds since the Unix epoch
	Attributes        map[string]string
	Events            []string
	Links             []Link
	Failed            bool
}

// Link is a link of a span to another.
type Link struct {
	Trace, ID  string
	Attributes map[string]string
}

// StartCollector starts a collector that lives until the end of the test.
func StartCollector(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.take(r); err != nil {
			t.Errorf("collector: %v", err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf") // an empty ExportTraceServiceResponse has no bytes
	}))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *Collector) take(r *http.Request) error {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return fmt.Errorf("%s %s of type %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var request collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		service := valuesOf(resource.Resource.Attributes)["service.name"]
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, spanOf(service, s))
			}
		}
	}
	return nil
}

// Spans are those received so far, in the order of their beginnings.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := slices.Clone(c.spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return int(int64(a.Begin) - int64(b.Begin)) })
	return spans
}

// Find returns the first span of a trace that has a name; "" means any trace.
func (c *Collector) Find(trace, name string) (Span, bool) {
	for _, s := range c.Spans() {
		if s.Name == name && (trace == "" || s.Trace == trace) {
			return s, true
		}
	}
	return Span{}, false
}

// Tree is a trace as indented lines, each with the span's service, name, time since the trace's beginning, duration, attributes,
// events and links.
func (c *Collector) Tree(trace string) string {
	var of []Span
	known := map[string]bool{}
	for _, s := range c.Spans() {
		if s.Trace == trace {
			of = append(of, s)
			known[s.ID] = true
		}
	}
	var b strings.Builder
	var write func(parent string, depth int)
	write = func(parent string, depth int) {
		for _, s := range of {
			if s.Parent == parent || parent == "" && !known[s.Parent] {
				fmt.Fprintf(&b, "%s%s\n", strings.Repeat("  ", depth), s.line(of[0].Begin))
				write(s.ID, depth+1)
			}
		}
	}
	write("", 0)
	return b.String()
}

func (s Span) line(begin uint64) string {
	text := fmt.Sprintf("%s: %s +%.3f ms, %.3f ms", s.Service, s.Name, float64(s.Begin-begin)/1e6, float64(s.End-s.Begin)/1e6)
	for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
		text += fmt.Sprintf(" %s=%s", name, s.Attributes[name])
	}
	for _, e := range s.Events {
		text += " [" + e + "]"
	}
	for _, l := range s.Links {
		text += fmt.Sprintf(" -> %s:%s %v", l.Trace[:8], l.ID, l.Attributes)
	}
	return text
}

func spanOf(service string, s *otlp.Span) Span {
	span := Span{Service: service, Name: s.Name, Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId),
		Parent: hex.EncodeToString(s.ParentSpanId), Begin: s.StartTimeUnixNano, End: s.EndTimeUnixNano,
		Attributes: valuesOf(s.Attributes), Failed: s.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR}
	for _, e := range s.Events {
		span.Events = append(span.Events, e.Name)
	}
	for _, l := range s.Links {
		span.Links = append(span.Links, Link{hex.EncodeToString(l.TraceId), hex.EncodeToString(l.SpanId), valuesOf(l.Attributes)})
	}
	return span
}

func valuesOf(list []*common.KeyValue) map[string]string {
	all := make(map[string]string, len(list))
	for _, a := range list {
		switch v := a.Value.GetValue().(type) {
		case *common.AnyValue_StringValue:
			all[a.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			all[a.Key] = fmt.Sprint(v.IntValue)
		}
	}
	return all
}
