package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

const reloadHelp = `usage: replicator reload --raffle N | --size N | --lists [--json]

Has the active replicator load a part of the read model anew, and waits until it is done. SQL answers for the
part meanwhile; everything else is served as before. Interrupting this command does not stop the reload.

Environment:
  REDIS_URL  redis://host:port/database

Exit status:
  0  it is reloaded
  1  no replicator has reloaded it in time
  2  wrong arguments
`

func runReload(ctx context.Context, args []string, out, notes io.Writer) error {
	flags := cli.NewFlags("replicator reload", reloadHelp)
	raffle := flags.Int64("raffle", 0, "reload raffle `N`")
	size := flags.Int("size", 0, "reload the newest bids of size `N` over all raffles")
	lists := flags.Bool("lists", false, "reload the lists of raffles and products")
	asJSON := jsonFlag(flags)
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	part, err := onePart(*raffle, *size, *lists)
	if err != nil {
		return failed(out, *asJSON, cli.Wrong(err))
	}
	return failed(out, *asJSON, reload(ctx, part, *asJSON, out, notes))
}

// reload has a part loaded anew and prints when it is done.
func reload(ctx context.Context, part readmodel.Part, asJSON bool, out, notes io.Writer) error {
	client, err := sinkClient()
	if err != nil {
		return cli.Wrong(err)
	}
	defer client.Close()
	begun := time.Now()
	p := progress.New(notes, time.Now)
	err = verify.Reload(ctx, client, []readmodel.Part{part}, p.Update)
	p.End()
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, struct {
			Part    string  `json:"part"`
			Seconds float64 `json:"seconds"`
		}{part.String(), time.Since(begun).Seconds()})
	}
	_, err = fmt.Fprintf(out, "%s is reloaded after %.1f s\n", part, time.Since(begun).Seconds())
	return err
}

// sink is the Redis that holds the read model.
type sink struct {
	RedisURL string `env:"REDIS_URL,required"`
}

// Check makes sink an env.Checker.
func (s *sink) Check() []error { return []error{Stores{RedisURL: s.RedisURL}.checkRedis()} }

func onePart(raffle int64, size int, lists bool) (readmodel.Part, error) {
	given := 0
	for _, is := range []bool{raffle != 0, size != 0, lists} {
		if is {
			given++
		}
	}
	if given != 1 || raffle < 0 || size < 0 || size > math.MaxInt16 {
		return readmodel.Part{}, errors.New("exactly one of --raffle N, --size N and --lists is needed")
	}
	return readmodel.Part{Raffle: raffle, Size: int16(size)}, nil
}
