package account

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// W4: a check beyond the queue is refused at once, a check in the queue when its time is over.
func TestChecksAreBounded_W4(t *testing.T) {
	c := newChecks(1, 1, prometheus.NewRegistry())
	hash := auth.HashPassword("right")
	if right, err := c.check(t.Context(), hash, "right"); err != nil || !right {
		t.Fatalf("got %v, %v", right, err)
	}
	leave, err := c.enter() // one runs
	if err != nil {
		t.Fatal(err)
	}
	c.running <- struct{}{}
	over, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() {
		leave, err := c.enter()
		if err == nil {
			defer leave()
			_, err = c.check(over, hash, "right")
		}
		waited <- err
	}()
	testenv.Eventually(t, 5*time.Second, "one waits", func() bool { return len(c.places) == 2 })
	if _, err := c.enter(); !errors.Is(err, ErrBusy) {
		t.Errorf("the third: %v", err)
	}
	cancel()
	if err := <-waited; !errors.Is(err, ErrBusy) {
		t.Errorf("the one that waited: %v", err)
	}
	<-c.running
	leave()
	if right, err := c.check(t.Context(), hash, "wrong"); err != nil || right {
		t.Errorf("after the rush: %v, %v", right, err)
	}
}

func TestLogin(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	db.Exec(t, "UPDATE users SET password_hash = 'damaged' WHERE login = 'user2'")
	keys, err := auth.OpenFolder(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	l := NewLogins(fixture.Primary(t, db), auth.NewSigner(keys, time.Minute, time.Now), time.Hour, 1, 1, reg)
	verifier := auth.NewVerifier(keys, time.Now)
	token, err := l.Login(t.Context(), "admin", fixture.Password)
	if err != nil || token.Expires != time.Minute {
		t.Fatalf("%+v, %v", token, err)
	}
	who, err := verifier.Verify(t.Context(), token.Access)
	if err != nil || who.UserID != fixture.Admin || who.Role != auth.RoleAdmin {
		t.Errorf("the token speaks for %+v, %v", who, err)
	}
	for _, login := range []string{"USER1", "ｕｓｅｒ1"} { // other case, other width
		if _, err := l.Login(t.Context(), login, fixture.Password); err != nil {
			t.Errorf("%s: %v", login, err)
		}
	}
	for _, login := range []string{"user1", "nobody", "USER1", "", "user1\x00"} {
		if _, err := l.Login(t.Context(), login, "wrong"); !errors.Is(err, ErrCredentials) {
			t.Errorf("%q: %v", login, err)
		}
	}
	// A login that nobody has costs a check too, so that its answer comes no sooner.
	if n := sampleCount(t, reg, "command_password_check_seconds"); n != 8 {
		t.Errorf("%d password checks for 8 logins", n)
	}
	if _, err := l.Login(t.Context(), "user2", fixture.Password); !errors.Is(err, auth.ErrHash) {
		t.Errorf("damaged hash: %v", err)
	}
}

func TestNewCredentials(t *testing.T) {
	for login, want := range map[string]string{"a": "a", "mina": "mina", "Mina": "mina", "미나": "미나", "ｍｉｎａ": "mina", "e\u0301a": "éa",
		"a@b.example": "a@b.example", strings.Repeat("ü", 64): strings.Repeat("ü", 64),
		"\u1106\u1175\u1102\u1161": "미나", // as macOS decomposes it
		"":                         "", " a": "", "a ": "", "two words": "", "a\n": "", "a\x00b": "", "a\u200bb": "", "a\u202eb": "", "a\u00a0b": "", "\xff": "",
		strings.Repeat("ü", 65): ""} {
		if got, err := NewLogin(login); got != want && err == nil || (err == nil) != (want != "") {
			t.Errorf("login %q: %q, %v, want %q", login, got, err, want)
		}
	}
	for password, good := range map[string]bool{"12345678": true, "ü2345678": true, "two words of it": true, strings.Repeat("ü", 128): true,
		"": false, "1234567": false, strings.Repeat("x", 129): false, "1234567\n": false, "1234567\xff": false} {
		if _, err := NewPassword(password); (err == nil) != good {
			t.Errorf("password %q: %v", password, err)
		}
	}
	composed, _ := NewPassword("Schlüssel\u00a01")
	decomposed, _ := NewPassword("Schlu\u0308ssel 1")
	if composed != decomposed {
		t.Errorf("%q and %q are typed alike", composed, decomposed)
	}
}

// W7: checks take no more than their share of the processor, however many come.
func TestChecksKeepTheirShare_W7(t *testing.T) {
	for cores, want := range map[float64]time.Duration{0.5: 20 * time.Millisecond, 1: 0, 2: 0, 1.5: 0, 0.25: 60 * time.Millisecond} {
		c := newChecks(cores, 1, prometheus.NewRegistry())
		if got := c.rest(20 * time.Millisecond); got != want {
			t.Errorf("%v cores: rest %v after 20ms, want %v", cores, got, want)
		}
	}
	c := newChecks(0.0001, 1, prometheus.NewRegistry())
	work := func() {
		for began := time.Now(); time.Since(began) < time.Millisecond; {
		}
	}
	if err := c.turn(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.turn(over, work); !errors.Is(err, ErrBusy) { // the turn is taken for ten seconds
		t.Errorf("the next one: %v", err)
	}
}

// A rush of registrations is shed and leaves places for logins. Of the registrations with one login, one succeeds.
func TestRegister_W4(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	keys, err := auth.OpenFolder(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l := NewLogins(fixture.Primary(t, db), auth.NewSigner(keys, time.Minute, time.Now), time.Hour, 1, 19, prometheus.NewRegistry())
	var outcomes [3]atomic.Int64 // registered, taken, busy
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			u, _, err := l.Register(t.Context(), Registration{Login: "mina", Password: "Fahrradkette"})
			switch {
			case err == nil && u.Login == "mina" && u.Role == auth.RoleBidder && u.ID > fixture.Admin:
				outcomes[0].Add(1)
			case errors.Is(err, ErrTaken):
				outcomes[1].Add(1)
			case errors.Is(err, ErrBusy):
				outcomes[2].Add(1)
			default:
				t.Errorf("%+v, %v", u, err)
			}
		})
	}
	testenv.Eventually(t, 10*time.Second, "some are hashed", func() bool { return len(l.checks.places) > 0 })
	if _, err := l.Login(t.Context(), "user1", fixture.Password); err != nil {
		t.Errorf("a login among them: %v", err)
	}
	wg.Wait()
	if n := outcomes[0].Load(); n != 1 || outcomes[2].Load() == 0 {
		t.Errorf("%d registered, %d taken, %d busy", n, outcomes[1].Load(), outcomes[2].Load())
	}
	if _, err := l.Login(t.Context(), "mina", "Fahrradkette"); err != nil {
		t.Errorf("the login of the new user: %v", err)
	}
}

func sampleCount(t *testing.T, reg *prometheus.Registry, name string) uint64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
