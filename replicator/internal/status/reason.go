package status

// Reason is why the read model must be rebuilt. It labels a metric.
type Reason string

// The reasons for a rebuild. The empty one means to resume.
const (
	Resume             Reason = ""
	CheckpointMissing  Reason = "checkpoint_missing"
	CheckpointCorrupt  Reason = "checkpoint_corrupt"
	OtherVersion       Reason = "other_version" // of the read model: an older or newer release wrote it
	OtherFormat        Reason = "other_format"  // readers of every release can read it
	OtherSystem        Reason = "other_system"
	OtherTimeline      Reason = "other_timeline" // Redis holds more of the old timeline than the new one continues from
	Failover           Reason = "failover"       // the new timeline continues all that Redis holds
	SlotMissing        Reason = "slot_missing"
	SlotLost           Reason = "slot_lost"
	CheckpointBehind   Reason = "checkpoint_behind_slot"
	PrimaryBehind      Reason = "primary_behind_checkpoint"
	PrimaryForgot      Reason = "primary_forgot"
	PublicationChanged Reason = "publication_changed"
	Truncated          Reason = "truncated"
	Torn               Reason = "flush_torn"
	Evicted            Reason = "keys_evicted"
	Requested          Reason = "requested"
)

// reasons are all reasons to rebuild.
var reasons = []Reason{
	CheckpointMissing, CheckpointCorrupt, OtherVersion, OtherFormat, OtherSystem, OtherTimeline, Failover, SlotMissing, SlotLost, CheckpointBehind,
	PrimaryBehind, PrimaryForgot, PublicationChanged, Truncated, Torn, Evicted, Requested,
}

// KeepsServing says whether the old epoch may be served, with its lag, until the next one is complete, because it is
// merely behind. Otherwise the old epoch holds what the primary does not have, or lacks something.
func (r Reason) KeepsServing() bool {
	switch r {
	case OtherVersion, OtherSystem, OtherTimeline, PrimaryBehind, PrimaryForgot, PublicationChanged, Evicted, Torn:
		return false
	}
	return true
}
