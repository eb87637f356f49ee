package drill

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// The usual load must not be taken for an abuse, whatever the system does.
func TestTheLoadStaysWithinTheConnectionsOfAnAddress(t *testing.T) {
	limits, err := deploy.ReadLimits(func(string) string { return "" }, 65536)
	if err != nil {
		t.Fatal(err)
	}
	bids, reads := underWay(100, mostBids), underWay(200, mostReads)
	if all := bids + reads + feedCount; all >= limits.AddressConns {
		t.Errorf("%d connections, and an address may have %d", all, limits.AddressConns)
	}
	for _, c := range []struct{ perSecond, most, want int }{{100, 600, 150}, {1500, 400, 400}, {1, 600, 1}, {0, 600, 1}} {
		if got := underWay(c.perSecond, c.most); got != c.want {
			t.Errorf("of %d a second, %d at most: %d instead of %d", c.perSecond, c.most, got, c.want)
		}
	}
}

// What is still under way when the load stops may take its time. That is no time without an answer.
func TestAGapEndsWithTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		var between gap
		between.mark(time.Now())
		l := &load{story: newStory(time.Now())}
		l.pace(t.Context(), stop, "read", 10, mostReads, &between, func(context.Context) {
			between.mark(time.Now())
			if err := sleep.For(t.Context(), 10*time.Second); err != nil {
				t.Error(err)
			}
		})
		if longest, _ := between.result(); longest != 100*time.Millisecond {
			t.Errorf("the longest gap was %v, want 100 ms", longest)
		}
	})
}
