// Package snapshot copies the tables into the read model: a whole epoch (Builder), or some parts of the one that is
// served (Loader.CopyParts).
//
// The problem: a copy takes minutes, and rows change meanwhile. The copy and the stream must meet without a gap and
// without a row twice, and readers must never see half of the copy.
//
// The obvious ways fail. A copy into the served keys shows half of itself. A copy that begins before the stream misses
// what was committed in between. One that begins after it has rows that the stream brings again.
//
// The protocol of a rebuild:
//
//  1. Begin takes over the mark, a key that only one builder can hold. Every write of the rebuild is bound to it, so a
//     builder that was stopped and wakes up can't write into the work of its successor.
//  2. CreateSlot makes the slot of the new epoch. PostgreSQL exports a snapshot with it: the snapshot has exactly what
//     was committed before the slot's position, and the slot sends exactly what is committed after it.
//  3. Load reads the snapshot over several connections, raffles first, and writes sorted sets as Redis would store them
//     (RESTORE), in chunks that take Redis a few milliseconds.
//  4. At the end Load asks whether a table was truncated meanwhile, which snapshots don't show, and whether the
//     publication is the same.
//  5. Finish switches the checkpoint from the old epoch to the new one in the MULTI that removes the mark. It fails if
//     either has changed since.
//
// Invariant: no key of an epoch is read before the checkpoint names that epoch.
//
// A reload is the same for a part of the served epoch: readers ask SQL for the part while it lacks its sentinels. How the
// stream goes on meanwhile is told in package apply.
package snapshot
