package status

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// gauges are the values of a metric by its only label; "" without one.
func gauges(t *testing.T, reg *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if label := m.GetLabel(); f.GetName() == name && len(label) == 1 {
				found[label[0].GetValue()] = m.GetGauge().GetValue()
			} else if f.GetName() == name {
				found[""] = m.GetGauge().GetValue()
			}
		}
	}
	return found
}

// A rebuild has one phase at a time, and none when it is over. What it waits for is counted.
func TestTheMetricsTellOfARebuild(t *testing.T) {
	reg := prometheus.NewRegistry()
	b := NewBoard(reg, func() (wal.Pulse, bool) { return wal.Pulse{}, false }, time.Now())
	b.Update(func(s *Status) { s.Rebuild = &Progress{WaitsFor: []string{"a", "b"}} })
	b.SetState(Rebuilding)
	for _, p := range []Phase{Preparing, CreatingSlot, Copying, Switching} {
		b.SetPhase(p)
		for name, value := range gauges(t, reg, "replicator_rebuild_phase") {
			if (value == 1) != (name == string(p)) {
				t.Errorf("in phase %s: %s is %v", p, name, value)
			}
		}
	}
	if n := gauges(t, reg, "replicator_rebuild_waiting_transactions")[""]; n != 2 {
		t.Errorf("waits for %v", n)
	}
	b.SetState(Streaming)
	for name, value := range gauges(t, reg, "replicator_rebuild_phase") {
		if value != 0 {
			t.Errorf("after the rebuild: %s is %v", name, value)
		}
	}
	if n := gauges(t, reg, "replicator_rebuild_waiting_transactions")[""]; n != 0 {
		t.Errorf("after the rebuild it waits for %v", n)
	}
}

// The age of the checkpoint counts from its last change, not from the last look at it.
func TestTheAgeOfTheCheckpoint(t *testing.T) {
	now := time.Now()
	b := NewBoard(prometheus.NewRegistry(), func() (wal.Pulse, bool) { return wal.Pulse{}, false }, now)
	one, two := readmodel.Checkpoint{Slot: "a", LSN: 1}, readmodel.Checkpoint{Slot: "a", LSN: 2}
	b.set(one, now.Add(time.Second))
	b.set(one, now.Add(4*time.Second))
	if age := b.checkpointAge(now.Add(5 * time.Second)); age != 4*time.Second {
		t.Errorf("%v", age)
	}
	b.set(two, now.Add(6*time.Second))
	if age := b.checkpointAge(now.Add(7 * time.Second)); age != time.Second {
		t.Errorf("%v", age)
	}
}
