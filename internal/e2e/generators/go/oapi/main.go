// Command oapi bids with the client that oapi-codegen has made, and fails if a step does not answer as it should.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/stock-pyramid/stock-pyramid/generators/oapi/api"
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func to[T any](v T) *T { return &v }

func run(ctx context.Context, base string) error {
	client, err := api.NewClientWithResponses(base)
	if err != nil {
		return err
	}
	login, err := client.LoginWithResponse(ctx, api.Credentials{Login: "user1", Password: "pyramid"})
	if err != nil || login.JSON200 == nil {
		return fmt.Errorf("login: %v %+v", err, login)
	}
	token := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+login.JSON200.AccessToken)
		return nil
	}
	open, err := client.ListRafflesWithResponse(ctx, &api.ListRafflesParams{Status: to(api.ListRafflesParamsStatusOpen), Limit: to(1)})
	if err != nil || open.JSON200 == nil || len(open.JSON200.Raffles) != 1 {
		return fmt.Errorf("list: %v %+v", err, open)
	}
	raffle := open.JSON200.Raffles[0].Id
	bid := api.NewBid{Size: 280, Price: 250000}
	earlier, err := client.PlaceBidWithResponse(ctx, raffle, &api.PlaceBidParams{}, bid, token)
	if err != nil || earlier.JSON201 == nil {
		return fmt.Errorf("earlier bid: %v %+v", err, earlier)
	}
	key := &api.PlaceBidParams{IdempotencyKey: to("oapi-codegen")}
	placed, err := client.PlaceBidWithResponse(ctx, raffle, key, bid, token)
	if err != nil || placed.JSON201 == nil {
		return fmt.Errorf("bid: %v %+v", err, placed)
	}
	again, err := client.PlaceBidWithResponse(ctx, raffle, key, bid, token)
	if err != nil || again.JSON201 == nil || again.JSON201.Id != placed.JSON201.Id || again.HTTPResponse.Header.Get("Idempotency-Replayed") != "true" {
		return fmt.Errorf("replay: %v %+v", err, again)
	}
	return read(ctx, client, *placed.JSON201, earlier.JSON201.Id, placed.HTTPResponse.Header.Get("Commit-LSN"), token)
}

// read finds the bid on the first page, the earlier one on the next, and the bid among those of its user; then cancels it.
func read(ctx context.Context, client *api.ClientWithResponses, bid api.Bid, earlier api.Id, lsn string, token api.RequestEditorFn) error {
	raffle := bid.RaffleId
	list := &api.ListRaffleBidsParams{Size: &bid.Size, Limit: to(1), MinLSN: &lsn}
	page, err := client.ListRaffleBidsWithResponse(ctx, raffle, list)
	if err != nil || page.JSON200 == nil || len(page.JSON200.Bids) != 1 || page.JSON200.Bids[0].Id != bid.Id {
		return fmt.Errorf("read: %v %+v", err, page)
	}
	list.Cursor = page.JSON200.NextCursor
	next, err := client.ListRaffleBidsWithResponse(ctx, raffle, list)
	if err != nil || next.JSON200 == nil || len(next.JSON200.Bids) != 1 || next.JSON200.Bids[0].Id != earlier {
		return fmt.Errorf("next page: %v %+v", err, next)
	}
	mine, err := client.ListMyBidsWithResponse(ctx, &api.ListMyBidsParams{MinLSN: &lsn}, token)
	if err != nil || mine.JSON200 == nil || len(mine.JSON200.Bids) == 0 || mine.JSON200.Bids[0].Id != bid.Id {
		return fmt.Errorf("my bids: %v %+v", err, mine)
	}
	cancelled, err := client.CancelBidWithResponse(ctx, raffle, bid.Id, token)
	if err != nil || cancelled.StatusCode() != http.StatusNoContent {
		return fmt.Errorf("cancel: %v %+v", err, cancelled)
	}
	unknown, err := client.GetRaffleWithResponse(ctx, 999999999, &api.GetRaffleParams{})
	if err != nil || unknown.ApplicationproblemJSON404 == nil || unknown.ApplicationproblemJSON404.Type != "/problems/unknown-raffle" {
		return fmt.Errorf("an unknown raffle: %v %+v", err, unknown)
	}
	return nil
}
