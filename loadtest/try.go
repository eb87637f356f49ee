package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/frontdoor"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/levels"
)

const tryUsage = `usage: loadtest try [--url URL]

Logs in as a user of the data set, bids on an open raffle, reads the bid back until Redis answers, and shows it all.
`

// tryBudget is how long Redis may take to answer, because it may still be filled.
const tryBudget = 30 * time.Second

func runTry(ctx context.Context, args []string, out, _ io.Writer) error {
	flags := cli.NewFlags("loadtest try", tryUsage)
	url := flags.String("url", cmp.Or(os.Getenv("LOADTEST_URL"), "http://127.0.0.1:8080"), "`address` of the front door")
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	if _, _, err := (levels.Plan{URL: *url}).Address(); err != nil {
		return cli.Wrong(err)
	}
	door := frontdoor.New(*url, 1)
	defer door.Close()
	t := trial{door: door, out: out}
	for _, step := range []func(context.Context) error{t.login, t.find, t.bid, t.readBack} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "     all its bids: %s/v1/raffles/%d/bids?size=%d&order=highest\n", door.Base(), t.raffle, trySize)
	return err
}

// trySize is the size that is bid on, in mm.
const trySize = 270

// trial is one bid on its way through the system.
type trial struct {
	door    *client.Client
	session *client.Session
	out     io.Writer
	raffle  int64
	bidID   int64
}

func (t *trial) login(ctx context.Context) (err error) {
	if t.session, err = t.door.Login(ctx, "user1", dataset.Password); err != nil {
		return fmt.Errorf("%w; see the logs of haproxy and command", err)
	}
	_, err = fmt.Fprintf(t.out, "POST /v1/login {\"login\":\"user1\"} -> 200, a token of %d characters\n", len(t.session.Tokens().Access))
	return err
}

func (t *trial) find(ctx context.Context) error {
	open, err := frontdoor.Raffles(ctx, t.door, client.Open)
	if err != nil {
		return fmt.Errorf("%w; see the logs of query and haproxy, or start over with new data (make down clean up)", err)
	}
	t.raffle = open[0]
	return nil
}

func (t *trial) bid(ctx context.Context) error {
	bid, receipt, err := t.session.PlaceBid(ctx, t.raffle, client.NewBid{Size: trySize, Price: 200_000 + rand.Int64N(30_000)})
	if err != nil {
		return fmt.Errorf("%w; see the logs of command and haproxy", err)
	}
	t.bidID = bid.ID
	shown, err := json.Marshal(bid)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "POST /v1/raffles/%d/bids -> 201, Commit-LSN: %s\n     %s\n", t.raffle, receipt.Position, shown)
	return err
}

// readBack reads until Redis answers. Every answer must have the bid.
func (t *trial) readBack(ctx context.Context) error {
	for end := time.Now().Add(tryBudget); ; {
		page, err := t.session.Bids(ctx, t.raffle, client.BidFilter{Size: trySize})
		if err != nil {
			return fmt.Errorf("%w; see the logs of query and haproxy", err)
		}
		if !slices.ContainsFunc(page.Items, func(b client.Bid) bool { return b.ID == t.bidID }) {
			return fmt.Errorf("the bid %d is not in the answer of %s, Read-LSN %s, which must not happen; see the logs of query and replicator",
				t.bidID, page.Path, page.Position)
		}
		if page.Path == "redis" {
			_, err := fmt.Fprintf(t.out, "GET  /v1/raffles/%d/bids?size=%d -> 200 with that bid\n     Read-Path: %s  Read-LSN: %s  Read-Lag-Ms: %d\n",
				t.raffle, trySize, page.Path, page.Position, page.Lag.Milliseconds())
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("reads still come from %s instead of redis; see the logs of replicator, then of query and redis", page.Path)
		}
		if err := sleep.For(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}
