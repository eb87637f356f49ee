package bench

import (
	"fmt"
	"testing"
	"time"
)

// goal is what is asked of a ratio. The zero goal asks for nothing.
type goal struct {
	bound float64
	most  bool // the bound is the most, otherwise the least
}

func atLeast(bound float64) goal { return goal{bound: bound} }

func atMost(bound float64) goal { return goal{bound: bound, most: true} }

// beside writes what part of something was measured beside the part that is asked.
func (g goal) beside(ratio float64) string {
	text := fmt.Sprintf("%.2f of it", ratio)
	switch {
	case g.bound == 0:
		return text
	case g.most && ratio > g.bound, !g.most && ratio < g.bound:
		return fmt.Sprintf("%s (asked %.2f, missed)", text, g.bound)
	}
	return fmt.Sprintf("%s (asked %.2f)", text, g.bound)
}

// side is one build's system, what it is asked for, and who bids meanwhile.
type side struct {
	*reads
	read  read
	crowd *crowd
}

// compare has the sides and the baseline take turns. In the baseline's turns bids are placed in the first side, because the
// processors are to have as much else to do as in the other turns.
func compare(b *testing.B, r read, sides []side) {
	b.Helper()
	static := sides[0].baseline(b, r)
	for i := range sides {
		sides[i].load(static).warm(b, time.Second)
		sides[i].crowd = sides[i].gather(b)
	}
	var still []float64
	all := make([]turns, len(sides))
	for range rounds {
		sides[0].crowd.while(b, func() {
			perSecond, _, _ := static.run(b, readTime)
			still = append(still, perSecond)
		})
		for i, s := range sides {
			s.crowd.while(b, func() { all[i] = append(all[i], s.measure(b, static)) })
		}
	}
	ours := all[0]
	fmt.Printf("read   %-25s %7.0f/s, static %7.0f/s: %s   CPU%s\n", r.name, ours.median(turn.rate), median(still),
		r.rate.beside(medianRatio(ours.values(turn.rate), still)), ours.perRequest())
	for i, theirs := range all[1:] {
		fmt.Printf("read   %-25s %7.0f/s, CPU%s   by %s; our CPU %s\n", "", theirs.median(turn.rate), theirs.perRequest(), sides[i+1].name,
			r.cpu.beside(medianRatio(ours.values(r.cost), theirs.values(r.cost))))
	}
	for _, s := range sides {
		s.crowd.judge(b)
	}
}

// load is what the side is asked for, like the load of the baseline.
func (s side) load(static load) load {
	static.of, static.addr, static.paths, static.headers = s.build, s.queryAddr, s.read.paths, s.read.headers
	return static
}

// cost is the processor time of a request in query and in the store that answers. PostgreSQL has other work, too, which is not
// counted to reads from Redis.
func (r read) cost(t turn) (us float64) {
	us = t.cpu["query"] + t.cpu["redis"]
	if r.sql {
		us += t.cpu["pg"]
	}
	return us
}

// measure runs the load once. The processor time of PostgreSQL is left out if it is that of bids.
func (s side) measure(b *testing.B, static load) turn {
	b.Helper()
	before := s.used(b)
	perSecond, requests, generator := s.load(static).run(b, readTime)
	used := s.used(b)
	t := turn{perSecond: perSecond, cpu: map[string]float64{"generator": micros(generator) / float64(requests)}}
	for name := range used {
		if name != "pg" || s.crowd == nil {
			t.cpu[name] = micros(used[name]-before[name]) / float64(requests)
		}
	}
	return t
}

// perRequest writes the medians of the processor times.
func (t turns) perRequest() (text string) {
	for _, name := range []string{"query", "redis", "generator", "pg"} {
		if _, measured := t[0].cpu[name]; measured {
			text += fmt.Sprintf("  %s %.0f us", name, t.median(func(one turn) float64 { return one.cpu[name] }))
		}
	}
	return text
}
