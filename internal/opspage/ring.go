package opspage

import "time"

// Kept is how long a plot goes back. One sample is taken a second.
const (
	Kept        = 15 * time.Minute
	sampleEvery = time.Second
)

// Sample is the values of all series at a time, in milliseconds since the Unix epoch.
type Sample struct {
	At     int64   `json:"at"`
	Values []Value `json:"values"`
}

// ring keeps the last samples.
type ring struct {
	samples []Sample
	next    int
}

func newRing(size int) *ring { return &ring{samples: make([]Sample, 0, size)} }

func (r *ring) add(s Sample) {
	if len(r.samples) < cap(r.samples) {
		r.samples = append(r.samples, s)
		return
	}
	r.samples[r.next] = s
	r.next = (r.next + 1) % len(r.samples)
}

// since returns the samples at a time or later, oldest first. A process that was stopped has taken fewer in that time.
func (r *ring) since(at int64) []Sample {
	all := make([]Sample, 0, len(r.samples))
	for i := range r.samples {
		if s := r.samples[(r.next+i)%len(r.samples)]; s.At >= at {
			all = append(all, s)
		}
	}
	return all
}
