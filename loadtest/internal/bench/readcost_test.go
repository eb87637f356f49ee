package bench

import (
	"fmt"
	"testing"
	"time"
)

// side is one build's system and what it is asked for.
type side struct {
	*reads
	read read
}

// compare has the sides and the baseline take turns.
func compare(b *testing.B, r read, sides []side) {
	b.Helper()
	base := sides[0].baseline(b, r)
	for _, s := range sides {
		s.load(base).warm(b, time.Second)
	}
	var rate, still []float64
	used := make([]readCost, len(sides))
	for range rounds {
		perSecond, _, _ := base.run(b, readTime)
		still = append(still, perSecond)
		for i, s := range sides {
			perSecond := s.measure(b, base, &used[i])
			if i == 0 {
				rate = append(rate, perSecond)
			}
		}
	}
	fmt.Printf("read   %-24s %7.0f/s, static %7.0f/s: %.2f of it   CPU%s\n", r.name, median(rate), median(still), medianRatio(rate, still), used[0])
	if len(sides) > 1 {
		fmt.Printf("read   %-24s %s: CPU%s; system %.2f of it\n", "", sides[1].name, used[1], used[0].system()/used[1].system())
	}
	if got := medianRatio(rate, still); r.want > 0 && got < r.want {
		fmt.Printf("read   %-24s below the %.2f that it should reach\n", r.name, r.want)
	}
	if got := median(rate); got < r.least {
		fmt.Printf("read   %-24s below the %.0f/s that it should reach\n", r.name, r.least)
	}
}

// load is what the side is asked for, like the load of the baseline.
func (s side) load(like load) load {
	like.addr, like.paths, like.headers = s.queryAddr, s.read.paths, s.read.headers
	return like
}

// measure runs the load once, adds what it cost, and returns the requests per second.
func (s side) measure(b *testing.B, like load, to *readCost) (perSecond float64) {
	b.Helper()
	before := s.used(b)
	perSecond, requests, generator := s.load(like).run(b, readTime)
	if to.used == nil {
		to.used = make(map[string]time.Duration)
	}
	for name, t := range s.used(b) {
		to.used[name] += t - before[name]
	}
	to.used["generator"] += generator
	to.requests += requests
	return perSecond
}

// readCost is the processor time that requests took.
type readCost struct {
	used     map[string]time.Duration
	requests int
}

func (c readCost) of(name string) (us float64) {
	return float64(c.used[name].Nanoseconds()) / 1000 / float64(c.requests)
}

// system is the time of a request without the generator, in microseconds.
func (c readCost) system() float64 { return c.of("query") + c.of("redis") + c.of("pg") }

func (c readCost) String() (text string) {
	for _, name := range []string{"query", "redis", "generator", "pg"} {
		text += fmt.Sprintf("  %s %.0f us", name, c.of(name))
	}
	return text
}
