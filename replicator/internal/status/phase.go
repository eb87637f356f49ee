package status

// Phase is what a rebuild does.
type Phase string

// The phases of a rebuild, in their order.
const (
	Preparing    Phase = "preparing"     // removing what former rebuilds have left
	CreatingSlot Phase = "creating_slot" // a new slot waits for every open transaction
	Copying      Phase = "copying"       // the snapshot is copied
	Switching    Phase = "switching"     // waiting for the synchronous standby, then the checkpoint is switched
)

// SetPhase notes what the rebuild under way does now.
func (b *Board) SetPhase(p Phase) {
	b.update(func() {
		if b.status.Rebuild != nil {
			b.status.Rebuild.Phase = p
		}
	})
	b.Metrics.setPhase(p)
}

func (m *Metrics) setPhase(now Phase) {
	for _, p := range []Phase{Preparing, CreatingSlot, Copying, Switching} {
		value := 0.0
		if p == now {
			value = 1
		}
		m.phase.WithLabelValues(string(p)).Set(value)
	}
}
