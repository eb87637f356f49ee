package verify

import (
	"math"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// content is what a key holds: members with their scores, members alone, fields with their values, or a string under
// the empty name.
type content map[string]string

// change adds a field, or removes it if sign is negative.
func (c content) change(field, value string, sign int64) {
	if sign < 0 {
		delete(c, field)
	} else {
		c[field] = value
	}
}

// difference is what is wrong with a key: the fields that are missing, too many, or have another value.
type difference struct {
	missing, extra, wrong []string
	structure             string // what the key is if it is something else altogether; otherwise ""
}

func (d *difference) none() bool {
	return len(d.missing) == 0 && len(d.extra) == 0 && len(d.wrong) == 0 && d.structure == ""
}

func compare(want, got content) (d difference) {
	for field, value := range want {
		switch actual, ok := got[field]; {
		case !ok:
			d.missing = append(d.missing, field)
		case actual != value:
			d.wrong = append(d.wrong, field)
		}
	}
	for field := range got {
		if _, ok := want[field]; !ok {
			d.extra = append(d.extra, field)
		}
	}
	return d
}

// number is a score as text. All scores of the read model are whole numbers or infinite.
func number(score float64) string { return strconv.FormatFloat(score, 'f', -1, 64) }

// score returns the score that a bid's member must have in one of the orders, since the member has all that the score
// is made of. It returns false for what is no member of a bid.
func score(k kind, member []byte) (float64, bool) {
	b, err := readmodel.ParseMember(0, 0, member)
	if k == highest {
		return b.HighestScore(), err == nil
	}
	return b.NewestScore(), err == nil
}

// sentinelText is how Redis writes the score of a set's sentinel.
func sentinelText(k kind) string {
	if k == highest {
		return "-inf"
	}
	return "inf"
}

// putSentinel adds the sentinel of a key.
func (c content) putSentinel(k kind) {
	switch k {
	case products:
		c[readmodel.Sentinel] = ""
	case highest:
		c[readmodel.Sentinel] = number(math.Inf(-1))
	default:
		c[readmodel.Sentinel] = number(math.Inf(1))
	}
}
