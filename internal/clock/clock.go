// Package clock is the wall clock of a service: what it tells others and compares with what others say. Drills set it
// wrong. Durations within the process are measured by package time alone.
package clock

import "time"

// Clock is a wall clock. The zero value is the machine's.
type Clock struct {
	// Offset is how far the clock is ahead of the machine's.
	Offset time.Duration
}

// Now is the time on the clock. It has no monotonic reading, so it must not be subtracted from a time of time.Now.
func (c Clock) Now() time.Time { return time.Now().Round(0).Add(c.Offset) }
