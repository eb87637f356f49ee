package env

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Traces is the environment of OpenTelemetry that says whether and where traces go, see
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables. The exporter itself reads the other
// variables of that page: headers, certificates, time-outs, sizes of batches, attributes of the resource.
type Traces struct {
	Disabled       bool   `env:"OTEL_SDK_DISABLED"`
	Exporter       string `env:"OTEL_TRACES_EXPORTER"`
	Endpoint       string `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	TracesEndpoint string `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"`
	Protocol       string `env:"OTEL_EXPORTER_OTLP_PROTOCOL"`
	TracesProtocol string `env:"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"`
	Sampler        string `env:"OTEL_TRACES_SAMPLER"`
	SamplerArg     string `env:"OTEL_TRACES_SAMPLER_ARG"`
	Propagators    string `env:"OTEL_PROPAGATORS"`
	// Clients says whether clients are trusted: their traceparent says which requests are sampled, and into which trace.
	Clients bool `env:"TRACE_CLIENTS"`
}

// Samplers are the values of OTEL_TRACES_SAMPLER that work. The first is what an empty one means.
var Samplers = []string{"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio", "always_on", "always_off", "traceidratio"}

// On says whether traces are made: an endpoint is named, and nothing turns them off.
func (t Traces) On() bool {
	return !t.Disabled && t.Exporter != "none" && t.Endpoint+t.TracesEndpoint != ""
}

// Ratio is the share of traces that are sampled, 0 to 1, if the sampler has one. It is 1 if the environment names none.
func (t Traces) Ratio() (float64, error) {
	if t.SamplerArg == "" {
		return 1, nil
	}
	ratio, err := strconv.ParseFloat(t.SamplerArg, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		return 0, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %q, want 0 to 1", t.SamplerArg)
	}
	return ratio, nil
}

// Check returns an error for each value that can't work, if traces are made. Errors repeat no URL, because it may hold a
// password.
func (t Traces) Check() []error {
	if !t.On() {
		return nil // others may have set these variables for all programs of a machine
	}
	problems := []error{collector("OTEL_EXPORTER_OTLP_ENDPOINT", t.Endpoint), collector("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", t.TracesEndpoint)}
	if t.Exporter != "" && t.Exporter != "otlp" && t.Exporter != "none" {
		problems = append(problems, fmt.Errorf("OTEL_TRACES_EXPORTER is %q, want otlp or none", t.Exporter))
	}
	for name, value := range map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": t.Protocol, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": t.TracesProtocol} {
		if value != "" && value != "http/protobuf" {
			problems = append(problems, fmt.Errorf("%s is %q, want http/protobuf", name, value))
		}
	}
	if t.Sampler != "" && !slices.Contains(Samplers, t.Sampler) {
		problems = append(problems, fmt.Errorf("OTEL_TRACES_SAMPLER is %q, want one of %s", t.Sampler, strings.Join(Samplers, ", ")))
	}
	if strings.HasSuffix(t.Sampler, "traceidratio") {
		_, err := t.Ratio()
		problems = append(problems, err)
	}
	if t.Propagators != "" && !slices.Contains(strings.Split(t.Propagators, ","), "tracecontext") {
		problems = append(problems, fmt.Errorf("OTEL_PROPAGATORS is %q, and only tracecontext is known", t.Propagators))
	}
	return problems
}

func collector(name, value string) error {
	u, err := url.Parse(value)
	if value != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return errors.New(name + " is not an http or https URL")
	}
	return nil
}
