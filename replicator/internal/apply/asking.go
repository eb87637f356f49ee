package apply

import "time"

const (
	firstAsk = 4 * time.Millisecond
	lastAsk  = time.Second
)

// asking says when the server is to be asked for its position: at growing intervals after the last transaction. The
// answer moves the checkpoint past WAL that has no rows of ours.
type asking struct {
	*time.Timer
	pause time.Duration
}

func (a *asking) soon() {
	a.pause = firstAsk
	a.Reset(a.pause)
}

func (a *asking) later() {
	a.pause = min(2*a.pause, lastAsk)
	a.Reset(a.pause)
}
