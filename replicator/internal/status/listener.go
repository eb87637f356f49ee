package status

import "time"

// Listener is told what is worth telling to people. A function that is nil is not called. The functions are called by the
// parts of the replicator, from several goroutines, and must not block.
type Listener struct {
	Changed  func(before, after Status)   // the state
	Failed   func(kind string)            // a session ended with an error of this kind
	Lost     func(part string)            // a part lacks a key, and is loaded anew
	Poisoned func(part string)            // a part lacks a row that has no packing
	Reloaded func(part string, well bool) // a reload has ended
}

// Listen sets the listener. It is called before the replicator runs.
func (b *Board) Listen(l Listener) { b.listener = l }

// Listen sets the listener. It is called before the replicator runs.
func (m *Repairs) Listen(l Listener) { m.listener = l }

func (b *Board) tellState(before Status) {
	if b.listener.Changed != nil {
		b.listener.Changed(before, b.Read(time.Now()))
	}
}

func (b *Board) tellFailed(kind string) {
	if b.listener.Failed != nil {
		b.listener.Failed(kind)
	}
}

func tell(f func(part string), part string) {
	if f != nil {
		f(part)
	}
}
