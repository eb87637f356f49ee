package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

func TestThePageSaysWhereReadsComeFrom(t *testing.T) {
	sights := func(redis, replica bidbook.Sight) []bidbook.Sight {
		redis.Path, replica.Path = bidbook.PathRedis, bidbook.PathReplica
		return []bidbook.Sight{redis, replica}
	}
	at := func(lag int64) bidbook.Sight { return bidbook.Sight{At: bidbook.Position{LagMillis: lag}} }
	not := func(err error) bidbook.Sight { return bidbook.Sight{Err: err} }
	up := primary.State{Connected: true}
	for _, c := range []struct {
		redis, replica bidbook.Sight
		state          primary.State
		left           bool
		level          opspage.Level
		text           string
	}{
		{at(3), at(0), up, false, opspage.Good, "Reads come from Redis, 3 ms behind"},
		{at(2500), at(0), up, true, opspage.Bad, "Redis is 2.5 s behind, so the standby answers reads"},
		{at(2500), at(0), up, false, opspage.Bad, "Redis is 2.5 s behind, and no fresher standby answers"},
		{at(3), at(0), primary.State{}, false, opspage.Bad, "No primary answers"},
		{not(bidbook.ErrIncomplete), at(0), up, false, opspage.Doubt, "Redis does not answer reads (not whole)"},
		{at(3), not(context.DeadlineExceeded), up, false, opspage.Doubt, "the path replica does not answer (no answer in time)"},
		{at(3), not(errors.New("dial tcp 10.0.0.7: refused")), up, false, opspage.Doubt, "the path replica does not answer (fails)"},
		{at(3), bidbook.Sight{Spared: true}, up, false, opspage.Doubt, "(spared after failures)"},
	} {
		if got := verdict(sights(c.redis, c.replica), &c.state, c.left); got.Level != c.level || !strings.Contains(got.Text, c.text) {
			t.Errorf("%+v, want %s %s", got, c.level, c.text)
		}
	}
}

func TestThePageTellsWhatChanges(t *testing.T) {
	p := &page{Hub: opspage.NewHub(opspage.Options{Service: "query", Instance: "a:1"}), spared: map[bidbook.Path]bool{}}
	look := func(lag int64, spared bool, s primary.State) {
		p.tell([]bidbook.Sight{{Path: bidbook.PathRedis, At: bidbook.Position{LagMillis: lag}}, {Path: bidbook.PathReplica, Spared: spared}}, &s)
	}
	first, next := primary.State{Connected: true, Generation: 1, Host: "h", Port: 1}, primary.State{Connected: true, Generation: 2, Host: "h", Port: 2}
	look(0, false, first)
	look(2000, true, first)
	look(1500, true, first)
	look(10, false, primary.State{Generation: 1, Host: "h", Port: 1})
	look(10, false, next)
	look(10, false, next)
	var told []string
	for _, e := range p.Events() {
		told = append(told, e.Text)
	}
	want := []string{"This query was started.", "The primary is h:1, on timeline 0.", "The path replica fails. Reads take the next path.",
		"Redis is 2.0 s behind the primary.", "The path replica answers again.", "Redis has caught up with the primary.",
		"The primary h:1 does not answer. Reads go on.", "The primary is h:2, on timeline 0."}
	if fmt.Sprintf("%q", told) != fmt.Sprintf("%q", want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
