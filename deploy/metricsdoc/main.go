// Command metricsdoc makes docs/METRICS.md of the table of metrics and of the alerts.
package main

import (
	"fmt"
	"os"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

func main() {
	text, err := deploy.MetricsDocument()
	if err == nil {
		err = os.WriteFile("docs/METRICS.md", []byte(text), 0o644) //nolint:gosec // everybody may read it
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "metricsdoc:", err)
		os.Exit(1)
	}
}
