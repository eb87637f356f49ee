package drill

import (
	"testing"

	"github.com/stock-pyramid/stock-pyramid/deploy"
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
