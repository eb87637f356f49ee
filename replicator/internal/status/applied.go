package status

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Applied counts the transactions and the row changes that were applied.
func (m *Metrics) Applied() (transactions, changes float64) {
	return sum(m.Transactions), sum(m.Rows)
}

// sum adds up the values of a collector of counters.
func sum(c prometheus.Collector) (total float64) {
	all := make(chan prometheus.Metric)
	go func() {
		defer close(all)
		c.Collect(all)
	}()
	for one := range all {
		var m dto.Metric
		if err := one.Write(&m); err == nil { // a counter's Write does not fail
			total += m.GetCounter().GetValue()
		}
	}
	return total
}
