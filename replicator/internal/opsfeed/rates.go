package opsfeed

import (
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
)

// rate turns a count that only rises into a number per second.
type rate struct {
	count float64
	at    time.Time
	value opspage.Value
}

// per takes the count at a time. A count that has fallen belongs to another server or process, so there is no rate. A count
// of the same time as before changes nothing.
func (r *rate) per(count float64, at time.Time) opspage.Value {
	took := at.Sub(r.at).Seconds()
	switch {
	case at.IsZero():
		r.value = opspage.None()
	case took == 0:
		return r.value
	case r.at.IsZero(), count < r.count, took < 0:
		r.value = opspage.None()
	default:
		r.value = opspage.Value((count - r.count) / took)
	}
	r.count, r.at = count, at
	return r.value
}
