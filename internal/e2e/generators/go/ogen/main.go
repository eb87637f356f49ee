// Command ogen bids with the client that ogen has made, and fails if a step does not answer as it should.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/stock-pyramid/stock-pyramid/generators/ogen/api"
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// session is the token of the login.
type session struct{ token string }

// Bearer is asked for each call that needs a token.
func (s *session) Bearer(context.Context, api.OperationName) (api.Bearer, error) {
	return api.Bearer{Token: s.token}, nil
}

// as takes the answer that is wanted; any other one is the error.
func as[T any](step string, answer any, err error) (T, error) {
	wanted, is := answer.(T)
	if err == nil && !is {
		err = fmt.Errorf("answered %T %+v", answer, answer)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", step, err)
	}
	return wanted, err
}

func run(ctx context.Context, base string) error {
	s := &session{}
	client, err := api.NewClient(base, s)
	if err != nil {
		return err
	}
	answer, err := client.Login(ctx, &api.Credentials{Login: "user2", Password: "pyramid"})
	login, err := as[*api.TokenHeaders]("login", answer, err)
	if err != nil {
		return err
	}
	s.token = login.Response.AccessToken
	list, err := client.ListRaffles(ctx, api.ListRafflesParams{Status: api.NewOptListRafflesStatus(api.ListRafflesStatusOpen), Limit: api.NewOptInt(1)})
	open, err := as[*api.RafflePageHeaders]("list", list, err)
	if err != nil {
		return err
	}
	bid := &api.NewBid{Size: 285, Price: 250000}
	key := api.PlaceBidParams{RaffleID: open.Response.Raffles[0].ID}
	placing, err := client.PlaceBid(ctx, bid, key)
	earlier, err := as[*api.BidHeaders]("earlier bid", placing, err)
	if err != nil {
		return err
	}
	key.IdempotencyKey = api.NewOptString("ogen")
	placing, err = client.PlaceBid(ctx, bid, key)
	placed, err := as[*api.BidHeaders]("bid", placing, err)
	if err != nil {
		return err
	}
	placing, err = client.PlaceBid(ctx, bid, key)
	again, err := as[*api.BidHeaders]("replay", placing, err)
	if err != nil || again.Response.ID != placed.Response.ID || !again.IdempotencyReplayed.Set {
		return fmt.Errorf("replay: %v %+v", err, again)
	}
	return read(ctx, client, placed.Response, earlier.Response.ID, placed.CommitLSN)
}

// read finds the bid on the first page, the earlier one on the next, and the bid among those of its user; then cancels it.
func read(ctx context.Context, client *api.Client, bid api.Bid, earlier api.ID, lsn string) error {
	min := api.NewOptPosition(api.Position(lsn))
	list := api.ListRaffleBidsParams{RaffleID: bid.RaffleID, Size: api.NewOptSize(bid.Size), Limit: api.NewOptInt(1), MinLSN: min}
	answer, err := client.ListRaffleBids(ctx, list)
	page, err := as[*api.BidPageHeaders]("read", answer, err)
	if err != nil || len(page.Response.Bids) != 1 || page.Response.Bids[0].ID != bid.ID {
		return fmt.Errorf("read: %v %+v", err, page)
	}
	list.Cursor = api.NewOptString(string(page.Response.NextCursor.Value))
	answer, err = client.ListRaffleBids(ctx, list)
	next, err := as[*api.BidPageHeaders]("next page", answer, err)
	if err != nil || len(next.Response.Bids) != 1 || next.Response.Bids[0].ID != earlier {
		return fmt.Errorf("next page: %v %+v", err, next)
	}
	my, err := client.ListMyBids(ctx, api.ListMyBidsParams{MinLSN: min})
	mine, err := as[*api.MyBidPageHeaders]("my bids", my, err)
	if err != nil || len(mine.Response.Bids) == 0 || mine.Response.Bids[0].ID != bid.ID {
		return fmt.Errorf("my bids: %v %+v", err, mine)
	}
	gone, err := client.CancelBid(ctx, api.CancelBidParams{RaffleID: bid.RaffleID, BidID: bid.ID})
	if _, err := as[*api.CancelBidNoContent]("cancel", gone, err); err != nil {
		return err
	}
	none, err := client.GetRaffle(ctx, api.GetRaffleParams{RaffleID: 999999999})
	unknown, err := as[*api.NotFoundHeaders]("an unknown raffle", none, err)
	if err != nil || unknown.Response.Type != "/problems/unknown-raffle" {
		return fmt.Errorf("an unknown raffle: %v %+v", err, unknown)
	}
	return nil
}
