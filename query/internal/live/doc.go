// Package live feeds subscribers with what happens to raffles, as Server-Sent Events and to socket.io clients. The
// events of a raffle lie in one Redis stream, so every instance sees all of them, and a client can resume at any.
//
// The problem: thousands of clients watch the same raffle, some of them slowly. Each must get every event once and in
// the order of the commits, or be told by a reset that it must read the raffle again.
//
// The obvious ways fail. A read of the stream for each client multiplies the load of Redis. A queue for each client
// copies every event for each of them, and a slow client either fills the memory or loses events without knowing.
//
// The protocol:
//
//  1. The hub reads the checkpoint and the streams of all rooms (raffles with subscribers) in one round trip, and
//     encodes each event once, into the room's pending chunk.
//  2. When the room has rested, publish appends the pending chunk to the room's list and wakes the subscribers. A room
//     with more subscribers rests longer, so that more events share a chunk.
//  3. A subscriber goes along the list at its own speed and holds only its place. The events of its size, and their
//     packets, are made for the first subscriber that needs them and shared by the others.
//  4. Before a subscriber waits for a chunk, next ends it with ErrSlow if it lies more than maxBehind bytes behind. A
//     write has a deadline as well (writeTime, drainTime). So a slow client is cut off. It may resume at its last id.
//  5. A client that resumes goes on in the list if its position is there. Otherwise it reads the stream in pages until
//     it reaches the list. If the stream was trimmed behind its position, or the epoch is another one, it gets a reset.
//  6. After a failed read the hub checks each room: if the stream does not hold all events after the room's position,
//     the room gets a reset. The hub also checks a room after a read of as many entries as a stream is sure to keep,
//     because entries before them may have been trimmed.
//  7. When a feed begins, and after each reset, the subscriber asks whether the raffle is closed, because a close that
//     lies behind it would never come. The close ends the feed. A closed raffle's feed has what the stream has behind
//     the subscriber's position, and then the close, which is made anew if the subscriber is behind it.
//
// Invariants: a published chunk never changes, apart from its views and its link to the next chunk. Except by a reset,
// a subscriber's position never goes back. The chunks that slow subscribers keep in memory are bounded for each room,
// whatever the number of subscribers, because they hold the same list.
//
// Run is called once. ServeSSE, Refuse and SocketIO.Serve may be called by any goroutine. A Subscription belongs to one
// goroutine.
package live
