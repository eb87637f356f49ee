// Package session is the life of a replicator: session after session, each from one connection to the primary to the
// first error.
//
// The problem: of several replicators exactly one may write, to the Redis of exactly one history of the database. Servers
// are promoted, restored and cut off, and a process may be stopped at any instruction and wake up hours later.
//
// The obvious way, a lock, is not enough: a process that sleeps does not notice that it has lost its lock, and a lock
// says nothing about what Redis and the primary hold.
//
// A session, step by step (session.go):
//
//  1. reach finds the primary among the servers and opens the control connection to it.
//  2. lock waits for the advisory lock. Its holder is the active replicator; a server that ends an idle session gives
//     the lock of a stopped one to the next (P9).
//  3. prepare reads what Redis holds (checkpoint, mark, evictions) and what the primary has (history, slots, publication,
//     heartbeats), on connections that it proves to be to one server.
//  4. decide, a pure function of all this, says whether the read model can be resumed, and if not, for which reason it
//     must be rebuilt (P3, P4, P10, P11).
//  5. claim puts the session's token into the checkpoint. From here on a former replicator that wakes up is fenced off
//     by the WATCH on its next write.
//  6. rebuild, if there is a reason, fills a new epoch (package snapshot).
//  7. apply streams (package apply). Meanwhile watch looks at the lock, the publication, the slot and Redis every second,
//     lookOut looks for a newer primary, and cleanUp removes former epochs.
//  8. The first error ends all of them. While the lock is still held, follow takes the checkpoint away if the error says
//     that it is not true. The error then decides what the next session must do, and how long it waits.
//
// Invariant: only the session whose token is in the checkpoint has changed the read model since that checkpoint.
package session
