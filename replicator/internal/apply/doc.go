// Package apply writes the stream of one server to Redis and confirms to the slot what Redis can no longer lose.
//
// The problem: PostgreSQL may remove WAL that was confirmed, and a Redis that crashes loses its last second or two. A
// position may only be confirmed once the data before it survive both.
//
// The obvious way, to confirm what Redis has acknowledged, loses the bids of that last second: after the crash Redis
// stands at an older checkpoint, and the slot has let go of the WAL behind it. Two stores without a common transaction
// also disagree on where they stand when the process dies between the two.
//
// The protocol:
//
//  1. The handler turns rows into a batch. While one batch is written, the transactions that arrive share the next
//     one, up to the limits of a batch.
//  2. The gate holds a batch back until the synchronous standbys have flushed the log up to its end (P14, gate.go).
//  3. The applier writes a batch and the checkpoint that it leads to in one MULTI (P2). So Redis itself says where it
//     stands. A row that comes twice writes the same again, and Redis refuses an event that it has.
//  4. A large transaction takes several batches. Between them the checkpoint says that the transaction is half
//     applied, and readers leave Redis for SQL until its commit.
//  5. The commit record of the last transaction in a checkpoint is confirmed three seconds after the checkpoint was
//     written, because Redis has it on disk by then (P1). What is confirmed is where that record begins.
//  6. A new session starts the stream there, at the last commit in Redis. The first transaction that the server sends
//     must be that one, otherwise the server has another history (P10). It is skipped. Only a read model without any
//     commit since its rebuild starts where its slot was made.
//
// Invariant: what the slot has confirmed is at or before the checkpoint on the disk of Redis.
//
// Five goroutines share the work. The applier's alone writes to Redis. The handler's fills batches. The third confirms
// positions and asks a silent server to answer. The fourth looks for parts to reload. The fifth, during a reload, reads
// the snapshot into chunks (see reload).
package apply
