package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/stock-pyramid/stock-pyramid/client"
)

// demo answers as a system with one raffle, so that the examples run without one.
func demo() (url string, end func()) {
	var bids []client.Bid
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/login", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"access_token":"a.b.c","refresh_token":"r","expires_in":3600,"refresh_expires_in":7200}`)
	})
	mux.HandleFunc("POST /v1/raffles/901/bids", func(w http.ResponseWriter, r *http.Request) {
		bid := client.Bid{ID: int64(7 + len(bids)), RaffleID: 901, Quantity: 1}
		if err := json.NewDecoder(r.Body).Decode(&bid); err != nil {
			log.Print(err)
		}
		bids = append(bids, bid)
		w.Header().Set("Commit-LSN", "1-0/60174D8")
		w.WriteHeader(http.StatusCreated)
		if err := json.NewEncoder(w).Encode(bid); err != nil {
			log.Print(err)
		}
	})
	mux.HandleFunc("GET /v1/raffles/901/bids", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Read-Path", "redis")
		if err := json.NewEncoder(w).Encode(map[string]any{"bids": bids}); err != nil {
			log.Print(err)
		}
	})
	mux.HandleFunc("GET /v1/raffles/1", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"type":"/problems/unknown-raffle","detail":"there is no such raffle"}`)
	})
	s := httptest.NewServer(mux)
	return s.URL, s.Close
}

// A user logs in, bids, and reads the bid back at once.
func Example() {
	url, end := demo() // such as http://127.0.0.1:8080
	defer end()
	ctx := context.Background()
	c := client.New(url)
	defer c.Close()
	s, err := c.Login(ctx, "user1", "pyramid")
	if err != nil {
		log.Fatal(err)
	}
	bid, receipt, err := s.PlaceBid(ctx, 901, client.NewBid{Size: 270, Price: 250_000})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("bid", bid.ID, "committed at", receipt.Position)
	page, err := s.Bids(ctx, 901, client.BidFilter{Size: 270})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(page.Path, "shows", len(page.Items), "bid of", page.Items[0].Price)
	// Output:
	// bid 7 committed at 1-0/60174D8
	// redis shows 1 bid of 250000
}

// EachBid goes through all pages.
func ExampleClient_EachBid() {
	url, end := demo()
	defer end()
	c := client.New(url)
	defer c.Close()
	n := 0
	for bid, err := range c.EachBid(context.Background(), 901, client.BidFilter{Size: 270, Order: client.Highest}) {
		if err != nil {
			log.Fatal(err)
		}
		n += int(bid.Quantity)
	}
	fmt.Println(n, "pairs")
	// Output: 0 pairs
}

// An error is told by the type of its problem.
func ExampleProblem() {
	url, end := demo()
	defer end()
	c := client.New(url)
	defer c.Close()
	_, _, err := c.Raffle(context.Background(), 1)
	if p, is := errors.AsType[*client.Problem](err); is && errors.Is(err, client.UnknownRaffle) {
		fmt.Println(p.Status, p.Detail)
	}
	// Output: 404 there is no such raffle
}
