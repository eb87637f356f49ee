// Package verify compares the read model in Redis with the primary while both keep changing.
//
// The problem: a comparison takes minutes, and thousands of bids arrive meanwhile. Two reads that are not of the same
// position differ although nothing is wrong, and a bid that is really lost hides among those differences.
//
// The obvious ways fail. Nobody may stop the bids for a comparison. To read a key that differs again, until both sides
// agree, never ends for a key that changes all the time. PostgreSQL can't be asked for its state at the position that
// Redis has, because it shows only the present.
//
// The protocol:
//
//  1. A temporary slot exports a snapshot. Its rows make the model, which is what Redis must hold at the snapshot's
//     position: a digest for each set of bids, and the content of the small keys.
//  2. The slot streams what was committed after the snapshot. The barrier holds this stream before the first
//     transaction whose commit record begins at or after the target. The first target is the snapshot's position.
//  3. Redis answers for a few sets and the checkpoint in one MULTI, so the answer is of one position: the checkpoint's.
//  4. settle makes that position the next target, and the barrier applies the transactions before it to the model. Now
//     the model and the answer are of one position, and the model does not move while they are compared.
//  5. An answer can't be compared if a large transaction is half applied in Redis, if Redis is behind the model, or if
//     it has no checkpoint or one of another history. Its keys are read again, for 20 seconds at most at a time. If the
//     epoch has changed, the comparison begins anew.
//  6. A large set is read in pieces, each at a position of its own. The changes that the stream brings to the pieces
//     read before are added to their digest (large.go).
//  7. The first keys that differ are read again, member by member, from a second snapshot, to report what differs. A
//     repair is a request in Redis to the replicator, which reloads the parts.
//
// Invariant: when reach returns, the model holds exactly the transactions that end at or before the target. A position
// lies between records, so a commit record that begins before the target also ends there or before; any other is an
// error. Targets never step back.
//
// One goroutine at a time compares: it calls reach and reads the model only between two calls. The goroutine of the
// stream changes the model in Row and Truncate. A Verifier may run in any process, and several at once.
package verify
