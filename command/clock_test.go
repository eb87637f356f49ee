package main

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/clock"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// A token is good for services whose clocks are some seconds apart, and the times of bids are the database's.
func TestWorksWithAWrongClock(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	const off = 5 * time.Second
	for _, offset := range []time.Duration{off, -off} {
		p := start(t, db, "CLOCK_OFFSET="+offset.String())
		token := p.login()
		keys := auth.NewRemote(p.public+"/.well-known/jwks.json", slog.New(slog.DiscardHandler))
		who, err := auth.NewVerifier(keys, clock.Clock{Offset: -offset}.Now).Verify(t.Context(), token)
		if err != nil || who.UserID != 1 {
			t.Errorf("%v: %+v, %v", offset, who, err)
		}
		if wrong := time.Until(who.Expires) - time.Hour - offset; wrong < -3*time.Second || wrong > 3*time.Second {
			t.Errorf("%v: the token expires %v too late", offset, wrong)
		}
		answer, err := p.post("/v1/raffles/1/bids", token, `{"size":270,"price":1000}`)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := read(t, answer); status != http.StatusCreated {
			t.Errorf("%v: %d %s", offset, status, body)
		}
	}
	const wrong = "SELECT count(*) FROM bids WHERE created_at NOT BETWEEN clock_timestamp() - interval '1 min' AND clock_timestamp()"
	if n := fixture.Count(t, db, wrong); n != 0 {
		t.Errorf("%d bids with a wrong time", n)
	}
}
