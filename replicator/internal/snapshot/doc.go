// Package snapshot copies the tables into the read model: a whole epoch (Builder), or some parts of the epoch that is
// served (Loader.CopyParts).
//
// The problem: a copy takes minutes, and rows change meanwhile. The copy and the stream must meet without a gap and
// without a row twice, and readers must never see half of the copy.
//
// The obvious ways fail. A copy into the served keys shows half of itself. A copy that begins before the stream misses
// what is committed in between. A copy that begins after the stream has rows that the stream brings again.
//
// The protocol of a rebuild:
//
//  1. Begin takes over the mark, a key that only one builder can hold. Every write of the rebuild is bound to the
//     mark, so a builder that was stopped and wakes up can't write into the work of its successor (package sink).
//  2. CreateSlot makes the slot of the new epoch. PostgreSQL exports a snapshot with it. The snapshot has exactly what
//     was committed before the slot's position, and the slot sends exactly what is committed after it.
//  3. Load reads products and raffles over one connection and then the bids over several, all in the snapshot. It
//     writes sorted sets as Redis stores them (RESTORE, or ZADD where Redis does not take it), in chunks that take
//     Redis a few milliseconds.
//  4. At the end Load checks that no table was truncated meanwhile, which a snapshot does not show, and that the
//     publication in the snapshot is the one with which the session began. KeptSlot checks that the server still has
//     the slot.
//  5. Finish switches the checkpoint from the old epoch to the new one in the MULTI that removes the mark. It fails if
//     either has changed since.
//
// Invariant: no reader reads a key of an epoch before the checkpoint names that epoch.
//
// A reload copies a part of the served epoch from the snapshot of a temporary slot. While the part lacks its sentinels,
// readers ask SQL for it. How the stream goes on meanwhile is told at reload in package apply.
package snapshot
