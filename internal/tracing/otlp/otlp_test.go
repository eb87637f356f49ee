package otlp

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
)

// Variables that the library can't read are reported in the log, as JSON and without their values.
func TestWrongVariablesAreToldWithoutTheirValues(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "secret,key=secret%")
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/secret/ca.pem")
	var b bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&b, nil)).With("service", "test")
	e, err := Open("test", env.Traces{Endpoint: "http://127.0.0.1:1"}, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	want := []string{"OpenTelemetry: parse headers", "OpenTelemetry: escape header value", "OpenTelemetry: read tls ca cert file"}
	for line := range strings.Lines(b.String()) {
		var got struct{ Level, Msg, Service string }
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Level != "WARN" || got.Service != "test" || strings.Contains(line, "secret") {
			t.Errorf("%v: %s", err, line)
		}
		for i, text := range want {
			if got.Msg == text {
				want[i] = ""
			}
		}
	}
	if left := strings.Join(want, ""); left != "" {
		t.Errorf("nothing says %q:\n%s", left, b.String())
	}
}
