// Command go shows the main flow of the API with the Go client: register, log in, follow a raffle, bid, read the bid back,
// cancel it. STOCK_PYRAMID_URL names the system.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
)

func main() {
	// The client tries again by itself, as long as the context lasts.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := run(ctx, cmp.Or(os.Getenv("STOCK_PYRAMID_URL"), "http://127.0.0.1:8080"))
	if p, is := errors.AsType[*client.Problem](err); is {
		fmt.Fprintln(os.Stderr, string(p.Type), p.Detail) // programs decide by the type, people read the detail
	} else if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil {
		os.Exit(1)
	}
}

func run(ctx context.Context, url string) error {
	c := client.New(url)
	defer c.Close()
	s, err := enter(ctx, c)
	if err != nil {
		return err
	}
	open, err := c.Raffles(ctx, client.RaffleFilter{Product: true, Limit: 1})
	if err != nil || len(open.Items) == 0 {
		return cmp.Or(err, errors.New("no raffle is open"))
	}
	raffle, _, err := c.Raffle(ctx, open.Items[0].ID)
	if err != nil {
		return err
	}
	fmt.Printf("raffle %d of %s has %d bids; sizes: %v\n", raffle.ID, raffle.Product.Name, raffle.BidCount, raffle.Sizes)
	bid, err := place(ctx, s, raffle.ID)
	if err != nil {
		return err
	}
	if _, err := s.CancelBid(ctx, raffle.ID, bid.ID); err != nil {
		return err
	}
	fmt.Println("cancelled the bid")
	if err := s.Refresh(ctx); err != nil { // a session does so by itself before its token runs out
		return err
	}
	fmt.Println("refreshed the token")
	if err := s.Logout(ctx); err != nil {
		return err
	}
	fmt.Println("logged out")
	fmt.Printf("done: bid %d of raffle %d was placed once, seen and cancelled\n", bid.ID, raffle.ID)
	return nil
}

// enter registers a new user and logs in.
func enter(ctx context.Context, c *client.Client) (*client.Session, error) {
	login, password := "go-"+rand.Text()[:12], rand.Text()
	user, err := c.Register(ctx, login, password)
	if err != nil {
		return nil, err
	}
	fmt.Printf("registered %s as user %d\n", user.Login, user.ID)
	s, err := c.Login(ctx, login, password)
	if err == nil {
		fmt.Println("logged in")
	}
	return s, err
}

// place places a bid and looks for it everywhere.
func place(ctx context.Context, s *client.Session, raffle int64) (bid client.Bid, err error) {
	const size = 270
	next, stop := iter.Pull2(s.Follow(ctx, raffle, client.FeedOptions{Size: size}))
	defer stop()
	if _, err, _ := next(); err != nil { // the first event says from where on the feed shows everything
		return bid, err
	}
	fmt.Println("opened the live feed")
	// The key makes one bid of all attempts, also of attempts after a restart of the program.
	bid, receipt, err := s.PlaceBid(ctx, raffle, client.NewBid{Size: size, Price: 250_000, Key: "example-" + rand.Text()})
	if err != nil {
		return bid, err
	}
	fmt.Printf("placed bid %d, committed at %s\n", bid.ID, receipt.Position)
	for shown := false; !shown; {
		event, err, more := next()
		if err != nil || !more {
			return bid, cmp.Or(err, errors.New("the feed ended before it showed the bid"))
		}
		shown = event.Kind == client.EventBid && event.Bid.ID == bid.ID
	}
	fmt.Println("the feed shows the bid")
	// A session asks for its last write by itself; AtLeast is for reads of somebody else.
	page, err := s.Bids(ctx, raffle, client.BidFilter{Size: size}, client.AtLeast(receipt.Position))
	if err != nil || !slices.ContainsFunc(page.Items, func(b client.Bid) bool { return b.ID == bid.ID }) {
		return bid, cmp.Or(err, errors.New("the bid is not among those of its size"))
	}
	fmt.Printf("%s shows the bid, %v behind the primary\n", page.Path, page.Lag)
	mine, err := s.MyBids(ctx, client.MyBidFilter{Raffle: raffle})
	if err != nil || len(mine.Items) == 0 {
		return bid, cmp.Or(err, errors.New("the bid is not among mine"))
	}
	fmt.Printf("my bid is %s\n", mine.Items[0].Standing)
	return bid, nil
}
