package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxSize bounds what Read takes: an hour of ten steps is about 50 MB.
const maxSize = 1 << 30

// A report can hold at most a day, counts whose sums can't overflow, and a lag of 30 years.
const (
	maxSeconds = 24 * 3600
	maxCount   = 1 << 50
	maxLag     = 1e12
)

// WriteJSON writes the run so that Read gives the same run back.
func (r *Run) WriteJSON(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(r); err != nil {
		return fmt.Errorf("write the result as JSON: %w", err)
	}
	return nil
}

// MarshalJSON adds the summaries of a step's histograms for readers without a histogram library. They are
// not read back.
func (s Step) MarshalJSON() ([]byte, error) {
	type plain Step
	return json.Marshal(struct {
		plain
		ServiceSummary Summary `json:"service_summary"`
		TotalSummary   Summary `json:"total_summary"`
	}{plain(s), s.Service.Summary(), s.Total.Summary()})
}

// ReadJSON reads what WriteJSON wrote. Everything else is an error, so that a run that it returns can be shown,
// merged and compared without further checks.
func ReadJSON(r io.Reader) (*Run, error) {
	var run Run
	dec := json.NewDecoder(io.LimitReader(r, maxSize))
	if err := dec.Decode(&run); err != nil {
		return nil, fmt.Errorf("read a result: %w", err)
	}
	if dec.More() {
		return nil, errors.New("read a result: more than one value")
	}
	if err := run.check(); err != nil {
		return nil, fmt.Errorf("read a result: %w", err)
	}
	return &run, nil
}

func (r *Run) check() error {
	if r.Version != Version {
		return fmt.Errorf("version %d, this program reads version %d", r.Version, Version)
	}
	if r.Elapsed < 0 || r.Elapsed.Seconds() > maxSeconds {
		return fmt.Errorf("a run of %v", r.Elapsed)
	}
	names := make(map[string]bool)
	for _, s := range r.Steps {
		if s.Name == "" || names[s.Name] {
			return fmt.Errorf("step %q has no name or comes twice", s.Name)
		}
		names[s.Name] = true
		if err := s.check(); err != nil {
			return fmt.Errorf("step %q: %w", s.Name, err)
		}
	}
	last := -1
	for _, s := range r.Samples {
		if s.At <= last || s.At > maxSeconds || !counts(s.Asked, int64(s.ActiveUsers)) || s.LagMS != nil && (*s.LagMS < 0 || *s.LagMS > maxLag) {
			return fmt.Errorf("sample of second %d: its time, arrivals, users or lag are out of range", s.At)
		}
		last = s.At
	}
	for _, c := range r.Paths {
		for _, p := range c.Paths {
			err := p.Latency.check()
			for _, b := range p.Blocks {
				err = errors.Join(err, b.check())
			}
			if err != nil {
				return fmt.Errorf("path %q of %q: %w", p.Path, c.Name, err)
			}
		}
	}
	return nil
}

func (s Step) check() error {
	if !counts(s.OK, s.Failed) {
		return errors.New("a count is out of range")
	}
	if err := errors.Join(s.Service.check(), s.Total.check(), s.Failures.check()); err != nil {
		return err
	}
	last := -1
	for _, sec := range s.Seconds {
		if sec.At <= last || sec.At > maxSeconds || !counts(sec.OK, sec.Failed) {
			return fmt.Errorf("second %d is out of order, or its time or a count is out of range", sec.At)
		}
		if err := sec.Total.check(); err != nil {
			return fmt.Errorf("second %d: %w", sec.At, err)
		}
		last = sec.At
	}
	return nil
}

func counts(ok, failed int64) bool {
	return ok >= 0 && failed >= 0 && ok <= maxCount && failed <= maxCount
}
