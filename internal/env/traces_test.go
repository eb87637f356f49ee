package env

import (
	"errors"
	"strings"
	"testing"

	parser "github.com/caarlos0/env/v11"
)

func tracesOf(t *testing.T, environment map[string]string) (Traces, error) {
	t.Helper()
	var c Traces
	err := parser.ParseWithOptions(&c, parser.Options{Environment: environment})
	return c, errors.Join(append(c.Check(), err)...)
}

func TestTracesAreMadeOnlyIfAnEndpointIsNamed(t *testing.T) {
	const to = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"
	for text, on := range map[string]bool{
		"": false, to: true, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://collector/v1/traces": true, to + " OTEL_SDK_DISABLED=true": false,
		to + " OTEL_TRACES_EXPORTER=none": false, to + " OTEL_TRACES_EXPORTER=otlp OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=0.01": true,
		"OTEL_TRACES_SAMPLER=always_on": false, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_PROPAGATORS=b3 OTEL_TRACES_EXPORTER=console": false,
		to + " OTEL_SDK_DISABLED=true OTEL_TRACES_SAMPLER=sometimes": false,
	} {
		environment := map[string]string{}
		for _, pair := range strings.Fields(text) {
			name, value, _ := strings.Cut(pair, "=")
			environment[name] = value
		}
		if c, err := tracesOf(t, environment); err != nil || c.On() != on {
			t.Errorf("%s: %v, %v", text, c.On(), err)
		}
	}
}

func TestWrongTracesAreReported(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "secret:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "/v1/secret", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json", "OTEL_TRACES_EXPORTER": "zipkin", "OTEL_TRACES_SAMPLER": "sometimes", "OTEL_PROPAGATORS": "b3",
	} {
		environment := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
		environment[name] = value
		if _, err := tracesOf(t, environment); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	for _, arg := range []string{"2", "-0.1", "NaN", "half"} {
		if _, err := tracesOf(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
			"OTEL_TRACES_SAMPLER_ARG": arg}); err == nil {
			t.Errorf("a ratio of %s is taken", arg)
		}
	}
}
