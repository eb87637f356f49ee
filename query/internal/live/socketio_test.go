package live

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// poller speaks engine.io 4 by long polling, so that a test sees the very packets.
type poller struct {
	url     string
	packets []string
}

func (f *feed) poll(t testing.TB) *poller {
	t.Helper()
	p := &poller{url: f.url + "/socket.io/?EIO=4&transport=polling"}
	sid := regexp.MustCompile(`"sid":"([^"]+)"`).FindStringSubmatch(p.next(t))
	if sid == nil {
		t.Fatal("no session")
	}
	p.url += "&sid=" + sid[1]
	p.send(t, "40"+Namespace+",")
	if got := p.next(t); !strings.HasPrefix(got, "40"+Namespace) {
		t.Fatalf("connecting is answered by %q", got)
	}
	return p
}

// session is the session's id.
func (p *poller) session(t testing.TB) string {
	t.Helper()
	_, sid, found := strings.Cut(p.url, "&sid=")
	if !found {
		t.Fatal("no session")
	}
	return sid
}

// quoted is a text as encoding/json writes it.
func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

// send sends a packet.
func (p *poller) send(t testing.TB, packet string) {
	t.Helper()
	response, err := http.Post(p.url, "text/plain", strings.NewReader(packet))
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %d %v", packet, response.StatusCode, err)
	}
}

// next returns the next packet; they come several at once, separated by a byte 0x1e.
func (p *poller) next(t testing.TB) string {
	t.Helper()
	for len(p.packets) == 0 {
		response, err := http.Get(p.url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("GET: %d %s %v", response.StatusCode, body, err)
		}
		p.packets = strings.Split(string(body), "\x1e")
	}
	first := p.packets[0]
	p.packets = p.packets[1:]
	return first
}

func (p *poller) expect(t testing.TB, want string) {
	t.Helper()
	if got := p.next(t); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The answer that opens a session names it in a header, so that the front door can send its polls to this instance.
func TestASessionIsNamedInAHeader(t *testing.T) {
	f := startFeed(t)
	response, err := http.Get(f.url + "/socket.io/?EIO=4&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if id := response.Header.Get("X-Session-Id"); err != nil || id == "" || !strings.Contains(string(body), `"sid":"`+id+`"`) {
		t.Errorf("session %q, %s, %v", id, body, err)
	}
}

func TestSocketIOGetsBidLists(t *testing.T) {
	f := startFeed(t)
	p := f.poll(t)
	p.send(t, `42/raffles,1["join",{"raffle_id":7,"size":270}]`)
	p.expect(t, `43/raffles,1[{"last_event_id":"1.1000-0","raffle_id":7}]`)
	one := f.bid(270)
	f.commit(t, []readmodel.Event{one, f.bid(250), f.bid(270)}, []readmodel.Event{{Kind: readmodel.EventCancel, Bid: one.Bid}})
	p.expect(t, `42/raffles,["bidList",[1,3],"1.1008-3"]`)
	p.expect(t, `42/raffles,["cancel",1,"1.1108-1"]`)

	// Another join of the same raffle takes the place of the first.
	p.send(t, `42/raffles,2["join",{"raffle_id":7,"last_event_id":"1.1008-1"}]`)
	p.expect(t, `43/raffles,2[{"last_event_id":"1.1008-1","raffle_id":7}]`)
	p.expect(t, `42/raffles,["bidList",[2,3],"1.1008-3"]`)
	p.expect(t, `42/raffles,["cancel",1,"1.1108-1"]`)
	if n := f.metric(t, "query_live_subscribers"); n != 1 {
		t.Errorf("%v subscribers", n)
	}
	f.checkpoint.Epoch = 3
	f.commit(t)
	p.expect(t, `42/raffles,["reset",{"raffle_id":7,"min_lsn":"1-0/4B0"},"3.1200-0"]`)
	p.send(t, "1") // closes the session
	testenv.Eventually(t, patience, "the subscription ends", func() bool { return f.metric(t, "query_live_subscribers") == 0 })
}

func TestABadJoinIsToldWhatIsWrong(t *testing.T) {
	f := startFeed(t)
	p := f.poll(t)
	for arguments, want := range map[string]string{
		``:                                     "join needs an object with raffle_id",
		`,7`:                                   "join needs an object with raffle_id",
		`,{}`:                                  "join: raffle_id is required",
		`,{"raffle_id":"7"}`:                   "join: raffle_id must be a whole number from 1 up",
		`,{"raffle_id":7.5}`:                   "join: raffle_id must be a whole number from 1 up",
		`,{"raffle_id":7,"size":0}`:            "join: size must be a whole number from 1 to 32767",
		`,{"raffle_id":7,"size":40000}`:        "join: size must be a whole number from 1 to 32767",
		`,{"raffle_id":7,"page":1}`:            `join does not know "page"`,
		`,{"raffle_id":8}`:                     "there is no such raffle",
		`,{"raffle_id":7,"last_event_id":"x"}`: "join: last_event_id must be the id of an event of this feed",
	} {
		p.send(t, `42/raffles,["join"`+arguments+`]`)
		p.expect(t, fmt.Sprintf(`42/raffles,["error",{"message":%q}]`, want))
		p.send(t, `42/raffles,5["join"`+arguments+`]`)
		p.expect(t, fmt.Sprintf(`43/raffles,5[{"error":%q}]`, want))
	}
}

func TestASessionThatSendsTooMuchIsRefused(t *testing.T) {
	f := startFeed(t)
	p := f.poll(t)
	response, err := http.Post(p.url, "text/plain", strings.NewReader(strings.Repeat("4", maxMessage+1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode == http.StatusOK {
		t.Errorf("status %d, %v", response.StatusCode, err)
	}
}
