package verify

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// Report is the outcome of a comparison.
type Report struct {
	Epoch     readmodel.Epoch `json:"epoch"`
	LSN       string          `json:"lsn"` // the last position at which something was compared
	Keys      int64           `json:"keys"`
	Rows      int64           `json:"rows"`    // read from the primary
	Members   int64           `json:"members"` // of the sets of bids, read from Redis
	Took      time.Duration   `json:"took_ns"`
	Divergent int             `json:"divergent_keys"`
	Repaired  int             `json:"repaired_keys"`
	Pending   int             `json:"pending_keys"`       // divergent keys of parts known to be incomplete, which nobody reads
	Findings  []Finding       `json:"findings,omitempty"` // at most Options.Details of the divergent keys

	divergent []key
}

// Finding is a key that is not as the primary has it.
type Finding struct {
	Key       string   `json:"key"`
	Missing   int      `json:"missing"`
	Extra     int      `json:"extra"`
	Wrong     int      `json:"wrong"` // fields with a wrong score or value
	Structure string   `json:"structure,omitempty"`
	Examples  []string `json:"examples,omitempty"`
	Repaired  bool     `json:"repaired,omitempty"`
}

// maxExamples is how many fields a finding names.
const maxExamples = 3

func newFinding(e readmodel.Epoch, k key, d difference) Finding {
	f := Finding{Key: k.name(e), Missing: len(d.missing), Extra: len(d.extra), Wrong: len(d.wrong), Structure: d.structure}
	for _, part := range []struct {
		what   string
		fields []string
	}{{"missing", d.missing}, {"extra", d.extra}, {"wrong " + k.valueName(), d.wrong}} {
		for _, field := range part.fields {
			if len(f.Examples) < maxExamples {
				f.Examples = append(f.Examples, part.what+": "+k.describe(field))
			}
		}
	}
	return f
}

// String describes the finding in one line for an operator.
func (f Finding) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{f.Missing, "missing"}, {f.Extra, "extra"}, {f.Wrong, "wrong"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if f.Structure != "" {
		parts = append(parts, "it is "+f.Structure)
	}
	if len(parts) == 0 {
		parts = append(parts, "differed, and does not any more")
	}
	s := f.Key + "  " + strings.Join(parts, ", ")
	if len(f.Examples) > 0 {
		s += " (" + strings.Join(f.Examples, "; ") + ")"
	}
	if f.Repaired {
		s += " - repaired"
	}
	return s
}

// valueName is what a field's value is called.
func (k key) valueName() string {
	if k.structure() == "zset" {
		return "score"
	}
	return "entry"
}

// describe names a field in words.
func (k key) describe(field string) string {
	var b readmodel.Bid
	var err error
	if field == readmodel.Sentinel && k.kind != sizes {
		return "the sentinel"
	}
	switch k.kind {
	case newest, highest:
		b, err = readmodel.ParseMember(k.raffle, k.size, []byte(field))
	case sizeNewest:
		b, err = readmodel.ParseSizeMember(k.size, []byte(field))
	case raffles:
		if r, err := readmodel.ParseRaffle([]byte(field)); err == nil {
			return "raffle " + strconv.FormatInt(r.ID, 10)
		}
		return strconv.Quote(field)
	case products:
		return "product " + field
	case sizes:
		return "size " + field
	default:
		return "entry"
	}
	if err != nil {
		return strconv.Quote(field)
	}
	return fmt.Sprintf("bid %d of raffle %d, price %d, %s", b.ID, b.RaffleID, b.Price,
		time.UnixMicro(b.CreatedAt).UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
}
