package service

import (
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/clock"
	"github.com/stock-pyramid/stock-pyramid/internal/version"
)

// aboutItself are the metrics of the program and not of its work.
func aboutItself(c clock.Clock) []prometheus.Collector {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "service_build_info", Help: "1; the labels say from which source and with which Go release the program was built.",
		ConstLabels: prometheus.Labels{"version": info.Main.Version, "commit": version.Commit(info), "go": info.GoVersion},
	})
	build.Set(1)
	return []prometheus.Collector{build, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "service_clock_seconds", Help: "The clock of the program at the time of the scrape, in seconds since 1970.",
	}, func() float64 { return float64(c.Now().UnixMilli()) / 1000 })}
}
