//go:build unix && !linux

package primary

// ended can't look at the state here, so that what waits does not count as an answer.
func ended(uintptr) bool { return true }
