package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

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
	client := frontdoor.New(*url)
	defer client.Close()
	t := trial{client: client, out: out}
	for _, step := range []func(context.Context) error{t.login, t.find, t.bid, t.readBack} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "     all its bids: %s/v1/raffles/%d/bids?size=%d&order=highest\n", client.Base(), t.raffle, trySize)
	return err
}

// trySize is the size that is bid on, in mm.
const trySize = 270

// trial is one bid on its way through the system.
type trial struct {
	client     *frontdoor.Client
	out        io.Writer
	token, lsn string
	raffle, id int64
}

// ask sends a request that the named program answers, and reads the answer, which must have the status, into a value.
func (t *trial) ask(ctx context.Context, program, method, target string, body []byte, status int, into any, header ...string) (frontdoor.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	a, err := t.client.Do(ctx, method, target, body, header...)
	if err != nil {
		return a, fmt.Errorf("%w; see the log of haproxy", err)
	}
	if a.Status != status {
		return a, fmt.Errorf("%s %s: status %d instead of %d: %.300s; see the logs of %s and haproxy", method, target, a.Status, status, a.Body, program)
	}
	if err := json.Unmarshal(a.Body, into); err != nil {
		return a, fmt.Errorf("%s %s: %w in %.300s", method, target, err, a.Body)
	}
	return a, nil
}

func (t *trial) login(ctx context.Context) error {
	var answer struct {
		Token string `json:"access_token"`
	}
	body := fmt.Appendf(nil, `{"login":"user1","password":%q}`, dataset.Password)
	a, err := t.ask(ctx, "command", http.MethodPost, "/v1/login", body, http.StatusOK, &answer)
	if err != nil {
		return err
	}
	t.token = answer.Token
	_, err = fmt.Fprintf(t.out, "POST /v1/login {\"login\":\"user1\"} -> %d, a token of %d characters\n", a.Status, len(t.token))
	return err
}

func (t *trial) find(ctx context.Context) error {
	open, err := t.client.Raffles(ctx, "open")
	if err != nil {
		return fmt.Errorf("%w; see the logs of query and haproxy, or start over with new data (make down clean up)", err)
	}
	t.raffle = open[0]
	return nil
}

func (t *trial) bid(ctx context.Context) error {
	var bid struct {
		ID int64 `json:"id"`
	}
	target := fmt.Sprintf("/v1/raffles/%d/bids", t.raffle)
	body := fmt.Appendf(nil, `{"size":%d,"price":%d}`, trySize, 200_000+rand.IntN(30_000))
	a, err := t.ask(ctx, "command", http.MethodPost, target, body, http.StatusCreated, &bid, "Authorization", "Bearer "+t.token)
	if err != nil {
		return err
	}
	t.id, t.lsn = bid.ID, a.Header.Get("Commit-LSN")
	_, err = fmt.Fprintf(t.out, "POST %s -> %d, Commit-LSN: %s\n     %s\n", target, a.Status, t.lsn, strings.TrimSpace(string(a.Body)))
	return err
}

// readBack reads until Redis answers. Every answer must have the bid.
func (t *trial) readBack(ctx context.Context) error {
	target := fmt.Sprintf("/v1/raffles/%d/bids?size=%d&order=newest&limit=50", t.raffle, trySize)
	end := time.Now().Add(tryBudget)
	for {
		a, err := t.read(ctx, target)
		if err != nil {
			return err
		}
		path := a.Header.Get("Read-Path")
		if path == "redis" {
			_, err := fmt.Fprintf(t.out, "GET  %s -> %d with that bid\n     Read-Path: %s  Read-LSN: %s  Read-Lag-Ms: %s\n",
				target, a.Status, path, a.Header.Get("Read-LSN"), a.Header.Get("Read-Lag-Ms"))
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("reads still come from %s instead of redis; see the logs of replicator, then of query and redis", path)
		}
		if err := sleep.For(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

func (t *trial) read(ctx context.Context, target string) (frontdoor.Answer, error) {
	var list struct {
		Bids []struct {
			ID int64 `json:"id"`
		} `json:"bids"`
	}
	a, err := t.ask(ctx, "query", http.MethodGet, target, nil, http.StatusOK, &list, "Min-LSN", t.lsn)
	if err != nil {
		return a, err
	}
	for _, bid := range list.Bids {
		if bid.ID == t.id {
			return a, nil
		}
	}
	return a, fmt.Errorf("the bid %d is not in the answer of %s, Read-LSN %s, which must not happen; see the logs of query and replicator",
		t.id, a.Header.Get("Read-Path"), a.Header.Get("Read-LSN"))
}
