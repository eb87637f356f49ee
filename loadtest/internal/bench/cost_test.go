package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
)

// way is how bids come to command.
type way struct {
	name        string
	connections int
	door        bool // through HAProxy
}

var (
	direct64  = way{"64 connections", 64, false}
	direct512 = way{"512 connections", 512, false}
	door64    = way{"64 connections through HAProxy", 64, true}
)

// turn is what the requests of one round have cost.
type turn struct {
	perSecond float64
	cpu       map[string]float64 // of each process, in microseconds per request; a bid counts if it was accepted
}

func (t turn) rate() (perSecond float64) { return t.perSecond }

// system is the processor time of all processes but the generator.
func (t turn) system() (us float64) {
	for name, used := range t.cpu {
		if name != "generator" {
			us += used
		}
	}
	return us
}

// turns are those of all rounds.
type turns []turn

func (t turns) values(of func(turn) float64) (list []float64) {
	for _, one := range t {
		list = append(list, of(one))
	}
	return list
}

// median is the middle one of the values.
func (t turns) median(of func(turn) float64) float64 { return median(t.values(of)) }

// costs are those of all rounds, by build and way.
type costs map[*build]map[way]turns

// round measures the bids on each way once.
func (s *stack) round(b *testing.B, all costs) {
	b.Helper()
	if all[s.build] == nil {
		all[s.build] = make(map[way]turns)
	}
	for _, w := range []way{direct64, direct512, door64} {
		if w.door && s.doorAddr == "" {
			continue
		}
		all[s.build][w] = append(all[s.build][w], s.bids(b, w))
	}
}

func (s *stack) bids(b *testing.B, w way) turn {
	b.Helper()
	config := engine.Config{VUsers: w.connections, Duration: measure}
	if w.door {
		config.Addr = s.doorAddr
	}
	before := s.cpu(b)
	report := s.post(b, s.bearer, config)
	after := s.cpu(b)
	c := turn{perSecond: report.PerSecond(report.Step("bid").OK), cpu: make(map[string]float64)}
	fmt.Printf("write  %-7s %-30s %6.0f/s, CPU per bid", s.name, w.name, c.perSecond)
	for _, name := range []string{"generator", "haproxy", "command", "primary", "standby", "replicator", "redis"} {
		if _, measured := after[name]; !measured || name == "haproxy" && !w.door {
			continue
		}
		c.cpu[name] = float64((after[name] - before[name]).Nanoseconds()) / float64(time.Microsecond) / float64(report.Step("bid").OK)
		fmt.Printf("  %s %.0f us", name, c.cpu[name])
	}
	fmt.Println()
	return c
}

// compare prints the processor time of a bid in the first and the last round, and the medians beside those of the base.
func (c costs) compare() {
	var base *build
	for v := range c {
		if v != tree {
			base = v
		}
	}
	for _, w := range []way{direct64, direct512, door64} {
		ours := c[tree][w].values(turn.system)
		if len(ours) == 0 {
			continue
		}
		fmt.Printf("write  %-30s CPU of the system per bid: first round %.0f us, last %.0f us", w.name, ours[0], ours[len(ours)-1])
		if base != nil {
			theirs := c[base][w].values(turn.system)
			fmt.Printf("; median %.0f us, %s %.0f us: %.2f of it", median(ours), base.name, median(theirs), median(ours)/median(theirs))
		}
		fmt.Println()
	}
	if base == nil || len(c[tree][door64]) == 0 {
		return
	}
	haproxy := func(t turn) float64 { return t.cpu["haproxy"] }
	ours, theirs := c[tree][door64].median(haproxy), c[base][door64].median(haproxy)
	fmt.Printf("write  HAProxy per bid: %.0f us, %s %.0f us: %.2f of it\n", ours, base.name, theirs, ours/theirs)
}
