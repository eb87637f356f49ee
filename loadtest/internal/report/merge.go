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
		entry(&r.Steps, Step{Name: s.Name}, func(have Step) bool { return have.Name == s.Name }).merge(s)
	}
}

// entry is the element of a list that is what it asks for, or fresh, which it then appends.
func entry[E any](list *[]E, fresh E, is func(E) bool) *E {
	i := slices.IndexFunc(*list, is)
	if i < 0 {
		i = len(*list)
		*list = append(*list, fresh)
	}
	return &(*list)[i]
}

func (s *Step) merge(o Step) {
	s.OK += o.OK
	s.Failed += o.Failed
	s.Service = s.Service.Merge(o.Service)
	s.Total = s.Total.Merge(o.Total)
	s.Failures = s.Failures.Merge(o.Failures)
	s.Part = s.Part || o.Part
	s.Seconds = AddSeconds(s.Seconds, o.Seconds...)
}

// AddSeconds adds seconds to a list in order.
func AddSeconds(list []Second, more ...Second) []Second {
	return enter(list, more, func(s Second) int { return s.At }, (*Second).Merge)
}

// Merge adds the requests of another step or generator.
func (s *Second) Merge(o Second) {
	s.OK += o.OK
	s.Failed += o.Failed
	s.Total = s.Total.Merge(o.Total)
}

// mergeSamples adds up arrivals and active users. All generators look at the same lag, so the highest figure counts.
func (r *Run) mergeSamples(samples []Sample) {
	r.Samples = enter(r.Samples, samples, func(s Sample) int { return s.At }, func(a *Sample, b Sample) {
		a.Asked += b.Asked
		a.ActiveUsers += b.ActiveUsers
		if a.LagMS == nil || b.LagMS != nil && *b.LagMS > *a.LagMS {
			a.LagMS = b.LagMS
		}
	})
}

// enter adds elements to a list that ascends by key. An element whose key the list has is merged.
func enter[E any](list, more []E, key func(E) int, merge func(have *E, e E)) []E {
	for _, e := range more {
		i, found := slices.BinarySearchFunc(list, key(e), func(have E, k int) int { return cmp.Compare(key(have), k) })
		if found {
			merge(&list[i], e)
		} else {
			list = slices.Insert(list, i, e)
		}
	}
	return list
}

func (r *Run) mergeErrors(kinds []ErrorKind) {
	for _, e := range kinds {
		have := entry(&r.Errors, ErrorKind{Step: e.Step, Kind: e.Kind, First: e.First, Sample: e.Sample},
			func(have ErrorKind) bool { return have.Step == e.Step && have.Kind == e.Kind })
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
		have := entry(&r.CPU, ProcessCPU{Name: c.Name}, func(have ProcessCPU) bool { return have.Name == c.Name })
		if c.Name == GeneratorProcess {
			have.CPU += c.CPU
		} else {
			have.CPU = max(have.CPU, c.CPU)
		}
	}
}
