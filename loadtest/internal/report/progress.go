package report

import "time"

// Progress is the state of a run under way, once a second.
type Progress struct {
	Elapsed     time.Duration `json:"elapsed_ns"`
	Limit       time.Duration `json:"limit_ns,omitempty"` // the run's duration, 0 if requests bound it
	Done        int64         `json:"done"`               // requests so far, good and bad
	Planned     int64         `json:"planned,omitempty"`  // requests in all, 0 if the duration bounds the run
	Failed      int64         `json:"failed"`
	ActiveUsers int           `json:"active_users"`
	Last        Second        `json:"last"` // the last whole second, all steps together
	Pause       bool          `json:"-"`    // the open model asked this generator for no arrival in that second
}

// Merge adds the progress of another generator of the same run.
func (p *Progress) Merge(o Progress) {
	p.Elapsed, p.Limit = max(p.Elapsed, o.Elapsed), max(p.Limit, o.Limit)
	p.Done += o.Done
	p.Planned += o.Planned
	p.Failed += o.Failed
	p.ActiveUsers += o.ActiveUsers
	p.Last.Merge(o.Last)
	p.Last.At = max(p.Last.At, o.Last.At)
}

// Fraction is how much of the run is done, from 0 to 1; 0 if its end is not known. A run that is bounded by
// both time and requests ends at the bound that it reaches first.
func (p Progress) Fraction() float64 {
	var f float64
	if p.Limit > 0 {
		f = float64(p.Elapsed) / float64(p.Limit)
	}
	if p.Planned > 0 {
		f = max(f, float64(p.Done)/float64(p.Planned))
	}
	return min(f, 1)
}

// Left estimates the time to the end from what is done so far; 0 if there is nothing to judge by.
func (p Progress) Left() time.Duration {
	f := p.Fraction()
	if f == 0 {
		return 0
	}
	return time.Duration(float64(p.Elapsed) * (1 - f) / f)
}
