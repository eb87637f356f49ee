// Package client calls the public API of Stock Pyramid.
//
// A [Client] reads: raffles, bids, products, and the live feed of a raffle. [Client.Login] makes a [Session], which also
// bids, and refreshes its tokens by itself. Both are safe for concurrent use.
//
//	c := client.New("http://127.0.0.1:8080")
//	s, err := c.Login(ctx, "user1", "pyramid")
//	bid, receipt, err := s.PlaceBid(ctx, 901, client.NewBid{Size: 270, Price: 250_000})
//	page, err := s.Bids(ctx, 901, client.BidFilter{Size: 270})
//
// The page holds the bid, because a session remembers the position of its last write and sends it with each read. What a
// read promises is in docs/CONSISTENCY.md, what the words mean in docs/DOMAIN.md.
//
// # Retries
//
// A call sends its request again, up to [WithAttempts] times and while its context lasts, and waits for Retry-After in
// between. After an answer which says that nothing was done (408, 429, or 503 with a type of the API), any request is sent again.
// After a lost answer or "perhaps done" ([OutcomeUnknown], 502, 504), a request is sent again if a second one does no harm. That
// is so for every call but [Session.ChangePassword]: [Session.PlaceBid] and the other calls that make something send an
// Idempotency-Key.
//
// A write that was perhaps carried out ends with an error that is [OutcomeUnknown], even if a later attempt was refused. So ask
// for OutcomeUnknown before [Busy] or [Unavailable].
//
// # Errors
//
// Each answer that refuses a request is a [Problem] in the chain of the error:
//
//	if errors.Is(err, client.RaffleNotOpen) { ... }
//	if p, ok := errors.AsType[*client.Problem](err); ok { log.Print(p.Detail) }
//
// docs/PROBLEMS.md says what each type means and what to do.
package client
