// Package sink writes to Redis only while no other writer does. Every write and every removal is bound to a guard: a
// key whose value says what Redis holds and which session wrote it (its token). The checkpoint is one guard, the mark
// of a rebuild is the other.
//
// The problem: a replicator may be stopped between any two instructions and wake up after another one has taken over.
// And a Redis that crashes loses its last second or two, so that it no longer holds what it acknowledged. A write on
// top of either makes a read model that equals no state of the primary.
//
// The obvious ways fail. A lock in the database does not stop a process that wakes up with a command in its hands. A
// MULTI without a WATCH executes on whatever Redis holds by then, even if the guard was read just before. A client that
// reconnects by itself sends the MULTI on a new connection, on which nothing is watched.
//
// The protocol:
//
//  1. Watch opens a connection of its own and sends WATCH and GET of the guard. The GET shows changes made before the
//     WATCH, and changes made after it fail the next EXEC, so no change goes unnoticed.
//  2. Write sends MULTI, the commands, SET of the guard, EXEC, and again WATCH and GET, in one round trip. So the
//     WATCH for the next write is armed by the write before.
//  3. If the guard was touched, EXEC answers nil and nothing is written. If the GET after the EXEC shows another value
//     than the one just written, another writer came in between. Both are ErrFenced.
//  4. If a command fails within EXEC, Redis keeps the others (ErrTorn), and the read model must be rebuilt. The one
//     exception is a stream that refuses an event which it has already.
//  5. If the connection breaks, nobody knows whether the last write happened. The next session finds out by reading
//     the guard.
//  6. A successor fences off its predecessor by writing its own token into the guard, or by removing the guard.
//  7. Sweep and Remove run as scripts, which check the guard and remove keys at one moment.
//
// Invariant: a write happens only if at its EXEC the guard holds the value that this Writer found or wrote last.
//
// One goroutine at a time uses a Writer. After an error it may only call Close. Remove and Sweep use the ordinary
// client, so any goroutine may call them, also beside a Writer.
package sink
