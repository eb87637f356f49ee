package wal

import "testing"

func TestSlotsBelongToOnePipeline(t *testing.T) {
	pipelines := []Pipeline{Unnamed, "green", "green2", "blue"}
	locks := make(map[int64]Pipeline)
	for _, p := range pipelines {
		name := p.SlotName(1795486993)
		if of, ok := PipelineOf(name); !ok || of != p {
			t.Errorf("%s is of %q, %v", name, of, ok)
		}
		for _, other := range pipelines {
			if e := other.SlotEpoch(name); (e == 1795486993) != (other == p) {
				t.Errorf("%s is of epoch %d of %s", name, e, other)
			}
		}
		if before, is := locks[p.Lock()]; is {
			t.Errorf("%s and %s have one lock", p, before)
		}
		locks[p.Lock()] = p
	}
	for _, other := range []string{"pyramid_", "pyramid_x", "pyramid", "other_1", "pyramid_99999999999999999999", "pyramid_green_", "pyramid_green_x_1", "pyramid_2_1"} {
		if e := max(Unnamed.SlotEpoch(other), Pipeline("green").SlotEpoch(other)); e != 0 {
			t.Errorf("%s is of epoch %d", other, e)
		}
	}
}

// The lock and the slots of the unnamed pipeline are those of the releases that had no pipelines.
func TestTheUnnamedPipelineIsThatOfFormerReleases(t *testing.T) {
	if Unnamed.Lock() != 0x70797261_6d696400 || Unnamed.SlotName(5) != "pyramid_5" || Unnamed.Application("replicator-copy") != "replicator-copy" {
		t.Errorf("%x, %s", Unnamed.Lock(), Unnamed.SlotName(5))
	}
}

func TestNamesOfPipelinesAreChecked(t *testing.T) {
	for name, good := range map[Pipeline]bool{"": true, "green": true, "b2": true, "2b": false, "Green": false, "a_b": false, "a-b": false, "abcdefghijklmnopq": false} {
		if err := name.Check(); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
