// Command generate writes Grafana's dashboard. Run it in the root of the repository (make generate).
package main

import (
	"fmt"
	"os"

	"github.com/stock-pyramid/stock-pyramid/deploy/grafana"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := grafana.Dashboard()
	if err != nil {
		return err
	}
	return os.WriteFile("deploy/grafana/stock-pyramid.json", text, 0o644)
}
