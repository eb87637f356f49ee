package redisbook

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
)

// Redis is durable if it has an append-only file, and neither a write nor a rewrite of it has failed.
func TestDurableIsOnlyARedisThatWritesItsFile(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := newHealth(reg)
	for _, c := range []struct {
		enabled, write, rewrite string
		want                    float64
	}{{"1", "ok", "ok", 1}, {"0", "ok", "ok", 0}, {"1", "err", "ok", 0}, {"1", "ok", "err", 0}, {"", "", "", 0}} {
		h.show(redisinfo.Info{"used_memory": "12", "maxmemory": "34", "aof_enabled": c.enabled, "aof_last_write_status": c.write, "aof_last_bgrewrite_status": c.rewrite})
		values := map[string]float64{}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			values[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
		}
		if values["query_redis_durable"] != c.want || values["query_redis_up"] != 1 || values["query_redis_memory_used_bytes"] != 12 || values["query_redis_memory_max_bytes"] != 34 {
			t.Errorf("%+v: %v", c, values)
		}
	}
}
