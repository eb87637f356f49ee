package client

import (
	"errors"
	"testing"
)

// LSNs are compared on one timeline only; a newer timeline covers an older one.
func TestLaterPositions_R7(t *testing.T) {
	for _, c := range []struct{ a, b, want Position }{
		{"", "", ""}, {"1-0/1", "", "1-0/1"}, {"", "1-0/1", "1-0/1"},
		{"1-0/9", "1-0/A", "1-0/A"}, {"1-0/A", "1-0/9", "1-0/A"}, {"1-2/0", "1-1/FFFFFFFF", "1-2/0"},
		{"2-0/1", "1-0/9", "2-0/1"}, {"1-0/9", "2-0/1", "2-0/1"}, {"10-0/1", "9-0/9", "10-0/1"},
		{"0/1", "1-0/9", "0/1"}, {"1-0/9", "0/1", "1-0/9"}, {"later", "1-0/9", "later"},
	} {
		if got := later(c.a, c.b); got != c.want {
			t.Errorf("later(%q, %q) = %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

// The reads of a session have the position of its last write, until the database says that it has lost it.
func TestASessionReadsItsWrites_R2(t *testing.T) {
	commit := func(at string) reply { return reply{status: 201, body: "{}", header: []string{"Commit-LSN", at}} }
	good := reply{status: 200, body: "{}"}
	gone := reply{status: 409, body: `{"type":"/problems/position-lost","errors":[{"field":"Min-LSN","detail":"is no position of the present history"}]}`}
	cursor := reply{status: 409, body: `{"type":"/problems/position-lost","errors":[{"field":"cursor","detail":"start again without it"}]}`}
	beyond := reply{status: 422, body: `{"type":"/problems/bad-value","errors":[{"field":"Min-LSN","detail":"is beyond the primary's position"}]}`}
	for name, c := range map[string]struct {
		answers []reply // of a bid, and of reads
		options []Option
		at      []string // the Min-LSN of the reads
		want    error    // of the first read
	}{
		"as it should be": {[]reply{commit("1-0/10"), good}, nil, []string{"1-0/10", "1-0/10"}, nil},
		"lost":            {[]reply{commit("1-0/10"), gone, good}, nil, []string{"1-0/10", ""}, PositionLost},
		"a lost cursor":   {[]reply{commit("1-0/10"), cursor, good}, nil, []string{"1-0/10", "1-0/10"}, PositionLost},
		"beyond":          {[]reply{commit("1-0/10"), beyond, good}, nil, []string{"1-0/10", ""}, BadValue},
		"switched off":    {[]reply{commit("1-0/10"), good}, []Option{WithoutReadYourWrites()}, []string{"", ""}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{answers: c.answers}
			session := s.session(c.options...)
			if err := bidOn(t.Context(), session); err != nil {
				t.Fatal(err)
			}
			for i, at := range c.at {
				err := readOne(t.Context(), session)
				if got := s.got[i+1].Header.Get("Min-LSN"); got != at || i == 0 && !errors.Is(err, c.want) || i > 0 && err != nil {
					t.Errorf("read %d at %q, want %q: %v", i, got, at, err)
				}
			}
		})
	}
}

// A read that asks for a position of its own has the later of both. Other sessions know nothing of it.
func TestAReadAtAPosition_R2(t *testing.T) {
	s := &script{answers: []reply{{status: 201, body: "{}", header: []string{"Commit-LSN", "1-0/10"}}, {status: 200, body: "{}",
		header: []string{"Read-Path", "redis", "Read-LSN", "1-0/20", "Read-Lag-Ms", "7"}}}}
	session := s.session()
	if err := bidOn(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		at, want Position
	}{{"1-0/9", "1-0/10"}, {"1-0/11", "1-0/11"}} {
		_, r, err := session.Raffle(t.Context(), 1, AtLeast(c.at), Through("redis"))
		h := s.got[i+1].Header
		if err != nil || h.Get("Min-LSN") != string(c.want) || h.Get("Read-Path") != "redis" || r.Path != "redis" || r.Position != "1-0/20" || r.Lag.Milliseconds() != 7 {
			t.Errorf("%v, %+v, %v", h, r, err)
		}
	}
	if other := session.Resume(session.Tokens()); other.LastWrite() != "" || session.LastWrite() != "1-0/10" {
		t.Errorf("%q and %q", other.LastWrite(), session.LastWrite())
	}
}
