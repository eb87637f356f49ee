package levels

import (
	"slices"
	"strings"
	"testing"
)

func TestMixesAreRead(t *testing.T) {
	m, err := ParseMix("bid=1,list=2.5,cancel=0.1")
	if err != nil || m.String() != "bid=1,cancel=0.1,list=2.5" {
		t.Errorf("%v, %v", m, err)
	}
	for _, wrong := range []string{"", "bid", "bid=0", "bid=-1", "bid=NaN", "bid=x", "sell=1", "bid=1,bid=2", "bid=1,"} {
		if m, err := ParseMix(wrong); err == nil || !strings.Contains(err.Error(), "bid, bids, cancel, list, mine, raffle") {
			t.Errorf("%q: %v, %v", wrong, m, err)
		}
	}
	for _, c := range []struct {
		level string
		mix   Mix
		good  bool
	}{
		{"mix", Mix{"bid": 1, "mine": 1}, true}, {"mix", Mix{"list": 1}, true}, {"mix", nil, false},
		{"6", Mix{"bid": 1}, false}, {"mix", Mix{"cancel": 1}, false}, {"mix", Mix{"mine": 1, "list": 1}, false},
	} {
		if err := c.mix.check(c.level); (err == nil) != c.good {
			t.Errorf("level %s, %v: %v", c.level, c.mix, err)
		}
	}
	reads := Mixed.of(Plan{Mix: Mix{"list": 1, "bids": 2}})
	if reads.writes || !slices.Equal(reads.steps, []string{"bids", "list"}) || !Mixed.of(Plan{Mix: Mix{"bid": 1}}).writes {
		t.Errorf("%+v", reads)
	}
}
