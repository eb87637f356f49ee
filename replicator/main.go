// Command replicator keeps the read model in Redis equal to the primary. It follows the logical replication stream and
// writes the changes to Redis together with their position. Its other subcommands show how far it is, compare Redis
// with the primary, and repair or rebuild the read model.
package main

import (
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/service"
)

var program = cli.Program{
	Name:    "replicator",
	About:   "Keeps the read model in Redis equal to the primary, PostgreSQL.",
	Default: "run",
	Commands: []cli.Command{
		{Name: "run", Summary: "replicate until SIGTERM; what happens without a subcommand", Run: runReplicator},
		{Name: "check", Summary: "look whether the servers are fit, before the first run or after a change", Run: runCheck},
		{Name: "status", Summary: "show what the running replicator does and how far it is", Run: runStatus},
		{Name: "verify", Summary: "compare Redis with the primary, while both go on, and repair what differs", Run: runVerify},
		{Name: "reload", Summary: "have the running replicator copy one raffle, the newest of a size, or the lists anew", Run: runReload},
		{Name: "pause", Summary: "have the running replicator apply nothing until it is resumed", Run: runPause},
		{Name: "resume", Summary: "end a pause", Run: runResume},
		{Name: "dump", Summary: "print a key of the read model as JSON", Run: runDump},
		{Name: "rebuild", Summary: "have the running replicator copy everything anew, beside what is served", Run: runRebuild},
		{Name: "drop", Summary: "remove a pipeline: its slots, and its read model", Run: runDrop},
	},
}

func main() {
	// What go-redis would print says nothing that an error of ours does not say.
	redis.SetLogger(service.Lines{Log: slog.New(slog.DiscardHandler)})
	ctx, stop := service.Signals()
	defer stop()
	program.Main(ctx)
}
