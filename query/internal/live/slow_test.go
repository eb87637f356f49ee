package live

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// A subscriber that does not read is dropped and counted. Meanwhile another one gets everything, and the dropped
// client can resume.
func TestASlowSubscriberIsDroppedAndMayComeBack(t *testing.T) {
	padding := bytes.Repeat([]byte(" "), 2000) // so that the sockets' buffers are full soon
	f := startFeedOf(t, func(dst []byte, raffleID int64, e *readmodel.Event) []byte {
		return append(encodeShort(dst, raffleID, e), padding...)
	})
	slow, fast := f.connect(t, 0, ""), f.connect(t, 0, "")
	begin := slow.lastID
	const each = 100
	for n := int64(0); f.metric(t, "query_live_dropped_total") == 0; n += each {
		if n > 100_000 {
			t.Fatal("not dropped")
		}
		f.place(t, each)
		for i, g := range fast.events(t, each) {
			if want := n + int64(i) + 1; len(g.data) < len(padding) || g.name != nameBid {
				t.Fatalf("got %v, want bid %d", g, want)
			}
		}
	}
	if n := f.metric(t, "query_live_subscribers"); n != 1 {
		t.Errorf("%v subscribers are left, want the fast one", n)
	}
	if again := f.connect(t, 0, begin); again.events(t, 1)[0].name == "" {
		t.Error("nothing came")
	}
}

// The end of the hub ends every feed at once.
func TestFeedsEndWithTheHub(t *testing.T) {
	f := &feed{redis: testenv.StartRedis(t)}
	f.connectRedis(t)
	f.hub = f.newHub(encodeShort)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.hub.Run(ctx) }()
	server := httptest.NewServer(http.HandlerFunc(f.serve))
	defer server.Close()
	f.url = server.URL
	c := f.connect(t, 0, "")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := c.lines.ReadString('\n'); err == nil {
		t.Error("the feed goes on")
	}
}
