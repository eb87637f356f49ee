package e2e

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// The client does the main flow through the front door. The answers to the first attempts at a bid and at a cancellation are
// lost, and there is one bid. Every read after a write shows it, although no read is told to.
func TestTheClientBidsOnceAndReadsItsWrites_W2_R2(t *testing.T) {
	s := startStack(t)
	proxy := testenv.StartProxy(t, strings.TrimPrefix(s.frontDoor(t), "http://"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := client.New("http://" + proxy.Addr())
	defer c.Close()
	bidder := enter(ctx, t, c)
	next, stop := iter.Pull2(bidder.Follow(ctx, openRaffle, client.FeedOptions{Size: 270}))
	defer stop()
	if e, err, _ := next(); err != nil || e.Kind != client.EventStart {
		t.Fatalf("%+v, %v", e, err)
	}
	proxy.CutBeforeAnswer([]byte("HTTP/1.1 201"), 2)
	bid, receipt, err := bidder.PlaceBid(ctx, openRaffle, client.NewBid{Size: 270, Price: 77})
	if err != nil || !receipt.Replayed || proxy.Cuts() != 2 {
		t.Fatalf("%+v, %+v after %d cuts: %v", bid, receipt, proxy.Cuts(), err)
	}
	awaitEvent(t, next, client.EventBid, bid)
	if again, _, err := bidder.PlaceBid(ctx, openRaffle, client.NewBid{Size: 270, Price: 77, Key: receipt.Key}); err != nil || again != bid {
		t.Errorf("the same key: %+v, %v", again, err)
	}
	if _, _, err := bidder.PlaceBid(ctx, openRaffle, client.NewBid{Size: 270, Price: 78, Key: receipt.Key}); !errors.Is(err, client.KeyReused) {
		t.Errorf("the same key for another bid: %v", err)
	}
	if mine := myBids(ctx, t, bidder); !slices.Equal(mine, []int64{bid.ID}) {
		t.Errorf("my bids are %v", mine)
	}
	page, err := bidder.Bids(ctx, openRaffle, client.BidFilter{Size: 270})
	if err != nil || len(page.Items) == 0 || page.Items[0] != bid || page.Path == "" || page.Position == "" {
		t.Errorf("%+v, %v", page.Reading, err)
	}
	proxy.CutBeforeAnswer([]byte("HTTP/1.1 204"), 1)
	if _, err := bidder.CancelBid(ctx, openRaffle, bid.ID); err != nil || proxy.Cuts() != 3 {
		t.Errorf("%d cuts: %v", proxy.Cuts(), err)
	}
	awaitEvent(t, next, client.EventCancel, bid)
	if _, _, err := bidder.Bid(ctx, openRaffle, bid.ID); !errors.Is(err, client.UnknownBid) {
		t.Errorf("the cancelled bid: %v", err)
	}
	leave(ctx, t, bidder)
	s.followToTheClose(ctx, t)
}

// enter registers a user and logs in.
func enter(ctx context.Context, t *testing.T, c *client.Client) *client.Session {
	t.Helper()
	user, err := c.Register(ctx, "newcomer", "correct horse battery")
	if err != nil || user.Role != client.RoleBidder {
		t.Fatalf("%+v, %v", user, err)
	}
	if _, err := c.Register(ctx, "newcomer", "another password"); !errors.Is(err, client.LoginTaken) {
		t.Errorf("the same login: %v", err)
	}
	if _, err := c.Login(ctx, "newcomer", "another password"); !errors.Is(err, client.WrongCredentials) {
		t.Errorf("another password: %v", err)
	}
	s, err := c.Login(ctx, "newcomer", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if me, err := s.Me(ctx); err != nil || me != user {
		t.Errorf("%+v, %v", me, err)
	}
	if _, _, err := s.CloseRaffle(ctx, openRaffle); !errors.Is(err, client.AdminsOnly) {
		t.Errorf("a bidder closes a raffle: %v", err)
	}
	return s
}

// awaitEvent waits for an event of a bid.
func awaitEvent(t *testing.T, next func() (client.Event, error, bool), kind client.EventKind, bid client.Bid) {
	t.Helper()
	for {
		e, err, ok := next()
		if err != nil || !ok {
			t.Fatalf("the feed ends without %s: %v", kind, err)
		}
		if e.Kind == kind && e.Bid == bid {
			return
		}
	}
}

func myBids(ctx context.Context, t *testing.T, s *client.Session) (ids []int64) {
	t.Helper()
	for b, err := range s.EachMyBid(ctx, client.MyBidFilter{Limit: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
	}
	return ids
}

// leave refreshes the tokens and logs out. Then neither the session nor a copy of it works.
func leave(ctx context.Context, t *testing.T, s *client.Session) {
	t.Helper()
	before := s.Tokens()
	if err := s.Refresh(ctx); err != nil || s.Tokens().Refresh == before.Refresh {
		t.Errorf("refresh: %v", err)
	}
	copied := s.Resume(s.Tokens())
	if err := s.Logout(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Me(ctx); !errors.Is(err, client.ErrLoggedOut) {
		t.Errorf("after the logout: %v", err)
	}
	if err := copied.Refresh(ctx); !errors.Is(err, client.BadRefreshToken) {
		t.Errorf("a copy after the logout: %v", err)
	}
}

// followToTheClose follows a new raffle. The feed begins with what is committed after its start, and ends with the close.
func (s *stack) followToTheClose(ctx context.Context, t *testing.T) {
	t.Helper()
	admin := s.session(t, "admin")
	raffle, _, err := admin.OpenRaffle(ctx, client.NewRaffle{ProductID: 1, EndsAt: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	// A session's read waits for the raffle; a feed does not.
	if _, _, err := admin.Raffle(ctx, raffle.ID); err != nil {
		t.Fatal(err)
	}
	var kinds []client.EventKind
	for e, err := range admin.Follow(ctx, raffle.ID, client.FeedOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Kind)
		switch e.Kind {
		case client.EventStart:
			bidFive(t, admin, raffle.ID)
		case client.EventBid:
			closed, _, err := admin.CloseRaffle(ctx, raffle.ID)
			if err != nil || closed.ClosedAt == nil || *closed.ClosingPrice != 5 {
				t.Errorf("%+v, %v", closed, err)
			}
		}
	}
	if want := []client.EventKind{client.EventStart, client.EventBid, client.EventClose}; !slices.Equal(kinds, want) {
		t.Errorf("%q, want %q", kinds, want)
	}
	best, _, err := admin.Best(ctx, raffle.ID)
	mine, mineErr := admin.MyBids(ctx, client.MyBidFilter{Raffle: raffle.ID})
	if err = errors.Join(err, mineErr); err != nil || best.ClosedAt == nil || len(best.Bids) != 1 || len(mine.Items) != 1 || mine.Items[0].Standing != client.Won {
		t.Errorf("%+v, %+v, %v", best, mine.Items, err)
	}
	if _, _, err := admin.PlaceBid(ctx, raffle.ID, client.NewBid{Size: 270, Price: 5}); !errors.Is(err, client.RaffleNotOpen) {
		t.Errorf("a bid after the close: %v", err)
	}
}
