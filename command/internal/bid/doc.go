// Package bid holds the rules of bidding and carries them out. Bid and its checks are pure. Store places and cancels
// bids in the primary, many in one transaction. Batcher gathers the bids of many requests for Store.
//
// The problem: when a shoe drops, thousands of bids arrive in one second. A transaction for each bid costs too much,
// because each commit has a flush, a message to the standby and one to the replicator of its own.
//
// The obvious ways fail. A timer for every batch delays a lone bid for nothing. One line for all raffles lets a
// locked or crowded raffle hold up the others. Statements side by side store a raffle's bids out of order, although
// equal prices rank by arrival.
//
// The protocol:
//
//  1. Place puts a bid into the line of its raffle. If the queue is full, the bid is refused at once (W4). Short lines
//     have a reserve, so that one crowded raffle keeps no other raffle's bids out (W7).
//  2. If no batch is under way, Place takes one and sends it on the caller's goroutine, so that a lone bid waits for
//     nothing. Otherwise a lane takes the bid: one lane at a time collects the next batch as soon as none is under way,
//     the bids make a full one, or Limits.Overlap has passed since the next batch began to wait. If the last batch held
//     the bids of all callers, the next one waits up to 10 ms more until they have bid again. Now and then a batch waits
//     so to find that out (gather).
//  3. A batch takes bids from the lines in turn, but never from a line of which another batch has bids.
//  4. run refuses the bids that have waited longer than Limits.Wait. Store.Place places the others in one
//     transaction.
//  5. If one bid may have caused the batch to fail, try splits the batch in half. After an unknown outcome, the bids
//     that have an idempotency key are sent once more. The key is looked up first, so it never gets a second bid (W2).
//     If that leaves the outcome open, too, the client hears so. Nothing else is sent again.
//     While no server takes writes, a batch waits for one (package primary).
//  6. The bids of a locked raffle go back to the head of their line. That line then sends one bid ahead every 10 ms,
//     and a bid that has waited for the lock for 250 ms gets ErrLocked (W6).
//  7. pressure reduces the size of a batch when statements are slow, and the queue when the primary falls behind.
//
// Invariant: no raffle is in two batches at once, and a batch has a raffle's bids in the order of their arrival. So the
// ids and times of these bids follow that order (W5). Each bid gets exactly one result, even if its caller has left.
//
// Any goroutine may call Place and Full. Only the lanes and Place run batches, and only the Batcher calls Store.Place.
// Close comes after the last Place. A cancellation goes through Cancels, past the queue.
package bid
