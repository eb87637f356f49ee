package verify

import (
	"context"
)

// The limits of the keys and members that are inspected with one snapshot, because they are held in memory.
const (
	inspectKeys    = 500
	inspectMembers = 500_000
)

// mismatch is a key that differs, and an estimate of how much it must hold.
type mismatch struct {
	key
	weight int
}

// inspect compares the first divergent keys, as many as Details says, member by member with new snapshots.
func (r *run) inspect(ctx context.Context, mismatches []mismatch) error {
	mismatches = mismatches[:min(len(mismatches), r.Details)]
	var some []key
	held := 0
	for i, s := range mismatches {
		some = append(some, s.key)
		held += s.weight
		if i+1 < len(mismatches) && len(some) < inspectKeys && held+mismatches[i+1].weight <= inspectMembers {
			continue
		}
		if err := r.inspectSome(ctx, some); err != nil {
			return err
		}
		some, held = nil, 0
	}
	return nil
}

func (r *run) inspectSome(ctx context.Context, keys []key) error {
	source, err := r.open(ctx, exactModel(keys))
	if err != nil {
		return err
	}
	defer source.close()
	c := &comparison{client: r.client, limit: r.limit, epoch: r.epoch, source: source}
	differences := make(map[key]difference)
	if err := c.compareContents(ctx, keys, func(k key, d difference) { differences[k] = d }); err != nil {
		return err
	}
	for _, k := range keys {
		r.report.Findings = append(r.report.Findings, newFinding(r.epoch, k, differences[k]))
	}
	return nil
}

// exactModel makes a model that keeps the members of the sets among the keys.
func exactModel(keys []key) *model {
	m := newModel(Scope{To: Everything.To}, newHasher())
	m.only = make(map[int64]bool)
	for _, k := range keys {
		switch k.kind {
		case newest, highest:
			m.members[k.set] = make(content)
			m.only[k.raffle] = true
		case sizes, raffle:
			m.only[k.raffle] = true
		default:
			m.scope.Globals = true
		}
	}
	return m
}
