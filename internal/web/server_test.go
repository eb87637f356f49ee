package web

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/oklog/run"
)

// Both listeners stop at once, however long the requests of one take.
func TestServersStopTogether(t *testing.T) {
	servers, err := Listen(slog.New(slog.DiscardHandler), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, release, stop := make(chan struct{}), make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-release
	})
	errStop := errors.New("stop")
	var group run.Group
	group.Add(func() error { <-stop; return errStop }, func(error) {})
	servers.AddTo(&group, slow, http.NotFoundHandler())
	ended, answered := make(chan error, 1), make(chan error, 1)
	go func() { ended <- group.Run() }()
	go func() {
		answer, err := http.Get("http://" + servers.public.Addr().String())
		if err == nil {
			err = answer.Body.Close()
		}
		answered <- err
	}()
	<-entered
	close(stop)
	deadline := time.Now().Add(5 * time.Second)
	for _, l := range []net.Listener{servers.public, servers.admin} {
		for {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				break
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if time.Now().After(deadline) {
				t.Fatalf("%v still listens while a request is in flight", l.Addr())
			}
		}
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if err := <-ended; !errors.Is(err, errStop) {
		t.Errorf("the group ended with %v", err)
	}
}
