package main

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

var poolConnections = prometheus.NewDesc("query_pool_connections",
	"Connections of a path's pool by state: used, idle, or being made (opening); and the most that it may have (max).", []string{"path", "state"}, nil)

// poolStates are the metrics of the pools, by the names of their paths.
type poolStates map[string]*pgxpool.Pool

// Describe implements prometheus.Collector.
func (poolStates) Describe(descs chan<- *prometheus.Desc) { descs <- poolConnections }

// Collect implements prometheus.Collector.
func (p poolStates) Collect(metrics chan<- prometheus.Metric) {
	for path, pool := range p {
		s := pool.Stat()
		for state, n := range map[string]int32{
			"used": s.AcquiredConns(), "idle": s.IdleConns(), "opening": s.ConstructingConns(), "max": s.MaxConns(),
		} {
			metrics <- prometheus.MustNewConstMetric(poolConnections, prometheus.GaugeValue, float64(n), path, state)
		}
	}
}
