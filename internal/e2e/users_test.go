package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/deploy/certs"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// The users of Redis may do all that the services do: rebuild, stream, verify, every read and the feed. Redis keeps a list
// of what it has refused.
func TestUsersOfRedisMayDoWhatTheServicesDo(t *testing.T) {
	authority, err := certs.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := authority.Issue("redis", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := startStack(t, testenv.Secured(authority.Certificate(), pem))
	feed := s.listen(t, openRaffle)
	bidder := s.session(t, "user1")
	bid := func(price int64) client.Bid {
		placed, _, err := bidder.PlaceBid(t.Context(), openRaffle, client.NewBid{Size: 270, Price: price})
		if err != nil {
			t.Fatal(err)
		}
		return placed
	}
	if _, err := bidder.CancelBid(t.Context(), openRaffle, bid(250_000).ID); err != nil {
		t.Fatal(err)
	}
	bid(260_000)
	bid(270_000)
	last := string(bidder.LastWrite())
	further := 0
	for _, path := range []string{
		"/v1/raffles?limit=10", "/v1/raffles?status=closed", fmt.Sprintf("/v1/raffles/%d", openRaffle), "/v1/bids?size=270&limit=5",
		fmt.Sprintf("/v1/raffles/%d/bids?size=270&limit=1", openRaffle), fmt.Sprintf("/v1/raffles/%d/bids?size=270&order=highest&limit=1", openRaffle),
	} {
		first := s.fromRedis(t, path, last)
		if next := regexp.MustCompile(`"next_cursor":"([^"]+)"`).FindStringSubmatch(first); next != nil {
			s.fromRedis(t, path+"&cursor="+url.QueryEscape(next[1]), last) // a further page takes other commands
			further++
		}
	}
	if further < 4 {
		t.Errorf("%d lists have a further page, too few to try all commands", further)
	}
	feed(client.EventBid)
	feed(client.EventCancel)
	s.verifyWithUsers(t, authority)
	// Redis loads its file with the rights of a user, too.
	s.redis.Kill(t)
	s.redis.Start(t)
	testenv.EventuallyNoError(t, 30*time.Second, "the replicator streams and Redis has all", func() error { return s.verify(t) })
	if refused := refusedBy(t, authority, s.redis.Addr()); refused != 0 {
		t.Errorf("Redis has refused %d kinds of requests after its restart", refused)
	}
}

// fromRedis waits until Redis answers a read at a position or later, and returns the body.
func (s *stack) fromRedis(t *testing.T, path, lsn string) (body string) {
	t.Helper()
	testenv.EventuallyNoError(t, 15*time.Second, path+" from Redis", func() error {
		a, err := s.do("GET", s.queryURL+path, nil, "Read-Path", "redis", "Min-LSN", lsn)
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		body = string(a.body)
		return err
	})
	return body
}

// verifyWithUsers fails the test if Redis lacks something or has refused something.
func (s *stack) verifyWithUsers(t *testing.T, authority *certs.Authority) {
	t.Helper()
	if err := s.verify(t); err != nil {
		t.Error(err)
	}
	if refused := refusedBy(t, authority, s.redis.Addr()); refused != 0 {
		t.Errorf("Redis has refused %d kinds of requests", refused)
	}
}

// verify compares Redis with the primary as the replicator's users.
func (s *stack) verify(t *testing.T) error {
	t.Helper()
	c := exec.CommandContext(t.Context(), testenv.Binary(t, "./replicator"), "verify")
	c.Env = append(os.Environ(), "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URLOf("replicator"), s.redis.Trust())
	if out, err := testenv.Run(c); err != nil {
		return fmt.Errorf("verify: %w\n%s", err, out)
	}
	return nil
}

// listen follows a raffle, and returns a function that waits for an event.
func (s *stack) listen(t *testing.T, raffle int64) func(client.EventKind) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	next, stop := iter.Pull2(s.api(t).Follow(ctx, raffle, client.FeedOptions{}))
	t.Cleanup(func() { cancel(); stop() })
	await := func(kind client.EventKind) {
		t.Helper()
		for {
			switch event, err, ok := next(); {
			case err != nil || !ok:
				t.Fatalf("the feed ends without %s: %v", kind, err)
			case event.Kind == kind:
				return
			}
		}
	}
	await(client.EventStart)
	return await
}

// refusedBy is the length of Redis' list of refusals.
func refusedBy(t *testing.T, authority *certs.Authority, address string) int64 {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(authority.Certificate()))
	conn, err := resp.Dial(t.Context(), resp.Options{
		Network: "tcp", Addr: address, Username: "operator", Password: "operator", DialTimeout: 5 * time.Second,
		TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var out resp.Commands
	out.Add("ACL", "LOG")
	if _, err := conn.Write(out.Wire); err != nil {
		t.Fatal(err)
	}
	list, err := conn.Next()
	if err != nil || list.Kind != resp.Array {
		t.Fatalf("%v, %v", list, err)
	}
	for range list.N { // shows them
		entry, err := conn.Next()
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for range entry.N {
			word, err := conn.Next()
			if err != nil {
				t.Fatal(err)
			}
			words = append(words, string(word.Text))
		}
		t.Log(strings.Join(words, " "))
	}
	return list.N
}
