// Package session is the life of a replicator: one session after the other, each from a connection to the primary to
// the first error.
//
// The problem: of several replicators exactly one may write, and Redis must follow exactly one history of the database.
// Servers are promoted, restored and cut off, and a process may be stopped at any instruction and wake up hours later.
//
// The obvious way, a lock, is not enough. A process that sleeps does not notice that it has lost its lock, and a lock
// says nothing about what Redis and the primary hold.
//
// A session, step by step (session.go):
//
//  1. reach finds the primary among the servers and opens the control connection to it. From here on lookOut looks for
//     a newer primary.
//  2. lock waits for the advisory lock. Its holder is the active replicator. The server ends an idle session, so the
//     lock of a stopped replicator goes to the next one (P9), which also ends the copies that it left.
//  3. prepare reads what Redis holds (checkpoint, mark, evictions) and what the primary has (history, publication,
//     slots, heartbeats). It proves that the control connection and the stream lead to one server.
//  4. decide, a pure function of all this, says whether the read model can be resumed, if need be with the slot that a
//     promoted server has made (successor.go), and if not, for which reason it must be rebuilt (P3, P4, P10, P11). From
//     here on watch checks the lock's connection, the publication, the slot and Redis every second.
//  5. claim writes the session's token into the checkpoint, or removes a checkpoint that must not be served. If a
//     former replicator wakes up, the WATCH of its next write fails (package sink).
//  6. rebuild, if there is a reason, fills a new epoch (package snapshot). It serves the epoch once the synchronous
//     standbys have flushed the log up to its position (P14).
//  7. apply streams (package apply), while cleanUp removes former epochs.
//  8. The first error ends all of them. Before the lock is given up, follow removes the checkpoint if the error says
//     that it is not true. The error then decides what the next session must do and how long the pause before it is.
//
// Invariant: since a session's token is in the checkpoint, no other session has changed the read model.
package session
