// Package apply writes the stream of one server to Redis and confirms to the slot what Redis can no longer lose.
//
// The problem: PostgreSQL forgets WAL that was confirmed, and Redis forgets the last second or two of what it took when
// it crashes. A position may only be confirmed once the data before it survive both.
//
// The obvious way, to confirm what Redis has acknowledged, loses the bids of that last second: after the crash Redis
// stands at an older checkpoint, and the slot has let go of the WAL behind it. Two stores without a common transaction
// also disagree on where they stand when the process dies between the two.
//
// The protocol:
//
//  1. The handler turns rows into a batch. While one batch is written, the rows that arrive meanwhile share the next one.
//  2. The applier writes a batch and the checkpoint that it leads to in one MULTI (P2). So Redis itself says where it
//     stands, and a batch that comes twice is refused or writes the same again.
//  3. A large transaction takes several batches. Between them the checkpoint says that it is half applied, and readers
//     leave Redis for SQL until its commit.
//  4. A position is confirmed three seconds after it was written (P1), when Redis has it on disk.
//  5. A new session starts the stream at the last commit in Redis. The first transaction that the server sends must be
//     that one, otherwise the server has another history (P10). It is skipped.
//
// Invariant: what the slot has confirmed is at or before the checkpoint on the disk of Redis.
//
// Only the applier's goroutine writes. The goroutine that acknowledges reads positions, and the handler's fills batches.
// A part of the read model that lost a key is loaded anew meanwhile, see reload.
package apply
