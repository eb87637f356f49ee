package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Merge makes one result of the results of generators that worked at the same time on the same plan. Counts and
// histograms are added up, so a percentile is the percentile of all requests together. Conditions and
// reconciliations are left out, because they are judged on the merged result. Several generators on one machine
// may see the same process, so for each process other than "generator" the highest figure counts.
func Merge(parts []*Run) (*Run, error) {
	if len(parts) == 0 {
		return nil, errors.New("there is no result to merge")
	}
	first := parts[0]
	all := &Run{
		Version: Version, Name: first.Name, Purpose: first.Purpose, Level: first.Level, Started: first.Started,
		Commit: first.Commit, Seed: first.Seed, Config: first.Config, Environment: first.Environment, Cores: first.Cores,
	}
	for _, p := range parts {
		if p.Level != all.Level {
			return nil, fmt.Errorf("results of level %q and level %q can't be merged", all.Level, p.Level)
		}
		if p.Started.Before(all.Started) {
			all.Started = p.Started
		}
		all.Elapsed = max(all.Elapsed, p.Elapsed)
		all.mergeVerdict(p.Verdict)
		all.mergeLoad(p)
		all.mergeSteps(p.Steps)
		all.mergeSamples(p.Samples)
		all.mergeErrors(p.Errors)
		all.mergeCPU(p)
	}
	return all, nil
}

func (r *Run) mergeVerdict(v Verdict) {
	for _, s := range v.Failed {
		r.Verdict.Failed = appendNew(r.Verdict.Failed, s)
	}
	for _, s := range v.Invalid {
		r.Verdict.Invalid = appendNew(r.Verdict.Invalid, s)
	}
}

// mergeLoad adds up the users and the arrivals.
func (r *Run) mergeLoad(p *Run) {
	r.Users.Asked += p.Users.Asked
	r.Users.Started += p.Users.Started
	if p.Arrivals == nil {
		return
	}
	if r.Arrivals == nil {
		r.Arrivals = new(Arrivals)
	}
	r.Arrivals.Asked += p.Arrivals.Asked
	r.Arrivals.Started += p.Arrivals.Started
	r.Arrivals.Dropped += p.Arrivals.Dropped
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func (r *Run) mergeSteps(steps []Step) {
	for _, s := range steps {
		i := slices.IndexFunc(r.Steps, func(have Step) bool { return have.Name == s.Name })
		if i < 0 {
			i = len(r.Steps)
			r.Steps = append(r.Steps, Step{Name: s.Name})
		}
		r.Steps[i].merge(s)
	}
}

func (s *Step) merge(o Step) {
	s.OK += o.OK
	s.Failed += o.Failed
	s.Service = s.Service.Merge(o.Service)
	s.Total = s.Total.Merge(o.Total)
	s.Failures = s.Failures.Merge(o.Failures)
	s.Part = s.Part || o.Part
	s.Seconds = mergeSorted(s.Seconds, o.Seconds, func(v Second) int { return v.At }, func(a, b Second) Second {
		a.merge(b)
		return a
	})
}

func (s *Second) merge(o Second) {
	s.OK += o.OK
	s.Failed += o.Failed
	s.Total = s.Total.Merge(o.Total)
}

// mergeSamples adds up arrivals and active users. All generators look at the same lag, so the highest figure counts.
func (r *Run) mergeSamples(samples []Sample) {
	r.Samples = mergeSorted(r.Samples, samples, func(v Sample) int { return v.At }, func(a, b Sample) Sample {
		a.Asked += b.Asked
		a.ActiveUsers += b.ActiveUsers
		if a.LagMS == nil || b.LagMS != nil && *b.LagMS > *a.LagMS {
			a.LagMS = b.LagMS
		}
		return a
	})
}

// mergeSorted merges two lists that ascend by key, and combines elements of the same key.
func mergeSorted[E any](a, b []E, key func(E) int, combine func(a, b E) E) []E {
	var out []E
	for len(a) > 0 && len(b) > 0 {
		switch c := cmp.Compare(key(a[0]), key(b[0])); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, combine(a[0], b[0])), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

func (r *Run) mergeErrors(kinds []ErrorKind) {
	for _, e := range kinds {
		i := slices.IndexFunc(r.Errors, func(have ErrorKind) bool { return have.Step == e.Step && have.Kind == e.Kind })
		if i < 0 {
			r.Errors = append(r.Errors, e)
			continue
		}
		have := &r.Errors[i]
		have.Count += e.Count
		if e.First < have.First {
			have.First, have.Sample = e.First, e.Sample
		}
	}
}

func (r *Run) mergeCPU(p *Run) {
	r.Generator.CPU += p.Generator.CPU
	r.Generator.Warning = cmp.Or(r.Generator.Warning, p.Generator.Warning)
	for _, c := range p.CPU {
		i := slices.IndexFunc(r.CPU, func(have ProcessCPU) bool { return have.Name == c.Name })
		switch {
		case i < 0:
			r.CPU = append(r.CPU, c)
		case c.Name == GeneratorProcess:
			r.CPU[i].CPU += c.CPU
		default:
			r.CPU[i].CPU = max(r.CPU[i].CPU, c.CPU)
		}
	}
}
