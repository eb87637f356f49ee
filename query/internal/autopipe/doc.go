// Package autopipe sends concurrent lookups to Redis in shared pipelines, and tells each lookup what is proven about
// the state that it has read.
//
// The problem: a lookup reads keys of a read model that is being written, and now and then replaced, at the same time.
// It must know that its replies belong to one epoch and that no transaction was half applied meanwhile.
//
// The obvious ways fail. A MULTI or a script for each lookup costs Redis more than the lookup itself. A read of the
// version before and after each lookup adds two commands to a lookup that often has only one.
//
// The protocol:
//
//  1. A caller puts its commands into a Request, which waits in the queue of the light or of the heavy requests.
//  2. A worker with a connection of its own takes as many requests as a pipeline may carry. Requests gather while the
//     workers wait for replies, so the pipelines grow under load, and a request that comes alone is sent at once.
//     Equal requests that wait together and allow it (Share) are sent as one, and each gets the same replies. They wait
//     before the first version is read, so they are as fresh as if each was sent.
//  3. The worker sends in one write: GET version, the commands of each request, GET version.
//  4. Redis executes the commands of a connection in their order, but may execute commands of other connections in
//     between. So both values go to validate, and what they prove (S) holds for every command between the two reads.
//  5. Each request gets its own replies and the pipeline's S. The buffer is used again once all of them are released.
//
// The proof, as package redisbook makes it: the version is the checkpoint, and the replicator writes it in the MULTI of
// the rows that it stands for. A transaction that takes several MULTIs is marked in the checkpoint as half applied, and
// changes the phase. If both checkpoints have the same epoch, replicator and phase, and neither is half applied, no
// lookup between them has seen a part of such a transaction without the rest. Each has seen at least the state of the
// first checkpoint, whose position the answer gets.
//
// The commands must only read, because a pipeline is sent once more if its connection was closed before any reply.
//
// Invariants: a pipeline is as heavy as Limits.Pipeline at most, or a single request. Heavy requests have connections
// of their own, so a heavy request delays a light one by one pipeline's work at most. A request's wait is a part of its
// budget unless this process was held up.
//
// Any goroutine may make requests. Each Request belongs to one goroutine, which must release it.
package autopipe
