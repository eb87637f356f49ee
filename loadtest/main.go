// Command loadtest fills the database with the data set and puts the system under load.
package main

import (
	"context"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/service"
)

var program = cli.Program{
	Name:  "loadtest",
	About: "Fills the database with the data set and puts the system under load.",
	Commands: []cli.Command{
		{Name: "seed", Summary: "fill an empty database with the data set", Run: runSeed},
		{Name: "try", Summary: "log in, bid, and read the bid back", Run: runTry},
		{Name: "level", Summary: "put the system under the load of one of the levels", Run: runLevel},
		{Name: "paths", Summary: "compare the read paths", Run: runPaths},
		{Name: "all", Summary: "run all levels and the comparison of paths", Run: runAll},
		{Name: "run", Summary: "the same as level, from several machines", Run: runRun},
		{Name: "agent", Summary: "make load for a controller on another machine", Run: runAgent},
		{Name: "drill", Summary: "cause failures under load and count what was lost", Run: runDrill},
		{Name: "reconcile", Summary: "compare the journals of an earlier run with PostgreSQL and Redis", Run: runReconcile},
		{Name: "compare", Summary: "show what changed between runs beyond noise", Run: runCompare},
	},
}

func main() {
	ctx, stop := service.Signals()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	program.Main(ctx)
}
