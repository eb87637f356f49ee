// Package otlp sends spans to a collector by OTLP over HTTP, as the environment of OpenTelemetry says.
package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
	"github.com/stock-pyramid/stock-pyramid/internal/version"
)

// FlushTime bounds Close, so that a collector that does not answer does not delay the end of the service.
const FlushTime = time.Second

// Exporter sends spans in the background. If the collector does not take them, a bounded queue fills up and further spans
// are dropped. Making a span never waits.
type Exporter struct {
	*tracing.Tracer
	provider *sdk.TracerProvider
}

// Open makes an exporter of a service, or nil if the environment asks for no traces. It does not connect yet.
func Open(service string, c env.Traces, log *slog.Logger) (*Exporter, error) {
	if !c.On() {
		return nil, nil
	}
	otel.SetLogger(logr.FromSlogHandler(bare{log.Handler()})) // before the library reads the environment
	ctx := context.Background()
	// A batch that can't be sent is dropped after ten seconds, because the queue fills up behind it.
	client, err := otlptracehttp.New(ctx, otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
		Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: 10 * time.Second}))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.namespace", "stock-pyramid"),
		attribute.String("service.name", service), attribute.String("service.version", built())), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("traces: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	sampler, err := samplerOf(c)
	if err != nil {
		return nil, err
	}
	// The library reports what it could not send only here, once for each batch.
	seldom := &rate.Sometimes{First: 1, Interval: time.Minute}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		seldom.Do(func() { log.Warn("traces are not sent", "error", err) })
	}))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(client), sdk.WithResource(about), sdk.WithSampler(sampler))
	return &Exporter{Tracer: tracing.New(provider, c.Clients), provider: provider}, nil
}

// Spans is the Tracer; nil without an exporter.
func (e *Exporter) Spans() *tracing.Tracer {
	if e == nil {
		return nil
	}
	return e.Tracer
}

// Close sends what waits, for FlushTime at most.
func (e *Exporter) Close() error {
	if e == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), FlushTime)
	defer cancel()
	if err := e.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("the last traces were not sent: %w", err)
	}
	return nil
}

func samplerOf(c env.Traces) (sdk.Sampler, error) {
	root := sdk.AlwaysSample()
	switch {
	case strings.HasSuffix(c.Sampler, "always_off"):
		root = sdk.NeverSample()
	case strings.HasSuffix(c.Sampler, "traceidratio"):
		ratio, err := c.Ratio()
		if err != nil {
			return nil, err
		}
		root = sdk.TraceIDRatioBased(ratio)
	}
	if c.Sampler == "" || strings.HasPrefix(c.Sampler, "parentbased_") {
		return sdk.ParentBased(root), nil
	}
	return root, nil
}

func built() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return version.Of(info)
	}
	return "unknown"
}
