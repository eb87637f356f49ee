package account

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// While the standby is away, a login is answered, and a bid waits.
func TestALoginWaitsForNoStandby(t *testing.T) {
	first := testenv.StartPostgres(t)
	standby := first.StartStandby(t)
	fixture.Fill(t, first)
	first.SetSynchronous(t, testenv.StandbyName)
	l := loginsOf(t, first)
	standby.Pause(t)
	defer standby.Resume(t)
	if l.mustLogin(t) == "" {
		t.Error("no refresh token")
	}
}

// accounts is a Logins over a database with the users of fixture.
func accounts(t testing.TB) (*Logins, *testenv.Database) {
	t.Helper()
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	return loginsOf(t, db), db
}

func loginsOf(t testing.TB, db fixture.Server) *Logins {
	t.Helper()
	keys, err := auth.OpenFolder(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := fixture.Primary(t, db)
	l := NewLogins(server, auth.NewSigner(keys, time.Minute, time.Now), time.Hour, 2, 100, prometheus.NewRegistry())
	fixture.Warm(t, server)
	return l
}

func (l *Logins) mustLogin(t testing.TB) string {
	t.Helper()
	token, err := l.Login(t.Context(), "user1", fixture.Password)
	if err != nil {
		t.Fatal(err)
	}
	return token.Refresh
}

func (l *Logins) mustRefresh(t testing.TB, refresh string) string {
	t.Helper()
	token, err := l.Refresh(t.Context(), refresh)
	if err != nil {
		t.Fatal(err)
	}
	return token.Refresh
}

func (l *Logins) refused(t testing.TB, when, refresh string, want error) {
	t.Helper()
	if token, err := l.Refresh(t.Context(), refresh); !errors.Is(err, want) {
		t.Errorf("%s: %+v, %v, want %v", when, token, err, want)
	}
}

// pass lets the time pass after which a trade is not repeated.
func pass(t testing.TB, db *testenv.Database) {
	t.Helper()
	db.Exec(t, "UPDATE refresh_families SET rotated_at = rotated_at - interval '31 s'")
}

// A token is traded again after a lost answer and gets the same next token, until that one is used or some time has passed.
// Afterwards it ends its family.
func TestAReusedTokenEndsItsFamily(t *testing.T) {
	l, db := accounts(t)
	first, other := l.mustLogin(t), l.mustLogin(t)
	second := l.mustRefresh(t, first)
	if again := l.mustRefresh(t, first); again != second || second == first {
		t.Errorf("the answers to one token are %s and %s", second, again)
	}
	third := l.mustRefresh(t, second)
	l.refused(t, "the token before the last", first, ErrReused)
	l.refused(t, "the newest token of an ended family", third, ErrRefreshToken)
	l.refused(t, "the token of an ended family again", first, ErrRefreshToken)
	next := l.mustRefresh(t, other) // another login has another family
	pass(t, db)
	l.refused(t, "late", other, ErrReused)
	l.refused(t, "its next token", next, ErrRefreshToken)
}

func TestWhatIsNoRefreshToken(t *testing.T) {
	l, db := accounts(t)
	token := l.mustLogin(t)
	known, _ := parseRefreshToken(token)
	forged := known
	forged[len(forged)-1] ^= 1
	for _, text := range []string{"", "x", strings.Repeat("x", 64), token + "A", token[:63], token[:63] + "\n", "+" + token[1:], newRefreshToken().String()} {
		l.refused(t, text, text, ErrRefreshToken)
	}
	if n := fixture.Count(t, db, "SELECT count(*) FROM refresh_families"); n != 1 {
		t.Errorf("%d families", n)
	}
	l.refused(t, "another token of the family", forged.String(), ErrReused) // only a holder of a token knows the family's id
	if n := fixture.Count(t, db, "SELECT count(*) FROM refresh_families"); n != 0 {
		t.Errorf("%d families", n)
	}
	token = l.mustLogin(t)
	db.Exec(t, "UPDATE refresh_families SET expires_at = now()")
	l.refused(t, "expired", token, ErrRefreshToken)
	token = l.mustLogin(t) // removes the expired family
	if n := fixture.Count(t, db, "SELECT count(*) FROM refresh_families"); n != 1 {
		t.Errorf("%d families", n)
	}
	db.Exec(t, "DELETE FROM users WHERE id = 5")
	db.Exec(t, "UPDATE refresh_families SET user_id = 5")
	l.refused(t, "of a user who is gone", token, ErrRefreshToken)
}

// Before the migrations have run, a login has no refresh token.
func TestLoginWithTheLastSchema(t *testing.T) {
	l, db := accounts(t)
	db.Exec(t, "DROP TABLE refresh_families, idempotency_keys")
	token, err := l.Login(t.Context(), "user1", fixture.Password)
	if err != nil || token.Access == "" || token.Refresh != "" {
		t.Errorf("%+v, %v", token, err)
	}
	if u, _, err := l.Register(t.Context(), Registration{Login: "mina", Password: "Fahrradkette"}); err != nil || u.Login != "mina" {
		t.Errorf("%+v, %v", u, err)
	}
}

// Neither a token nor what makes one of it is in the database.
func TestTheDatabaseKnowsNoToken(t *testing.T) {
	l, db := accounts(t)
	first := l.mustLogin(t)
	second := l.mustRefresh(t, first)
	for _, text := range []string{first, second} {
		token, ok := parseRefreshToken(text)
		if !ok {
			t.Fatalf("%s is no token", text)
		}
		secret := hex.EncodeToString(token[familyBytes:])
		if n := fixture.Count(t, db, "SELECT count(*) FROM refresh_families f WHERE position($1 IN f::text) > 0", secret); n != 0 {
			t.Errorf("the secret of %s is stored", text)
		}
	}
	if n := fixture.Count(t, db, "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'refresh_families'"); n != 0 {
		t.Error("the table is published")
	}
}

// through leads to a server through a proxy.
type through struct {
	fixture.Server
	proxy *testenv.Proxy
}

func (s through) URL(role string) string { return s.proxy.URL(s.Server.URL(role)) }

// The answer to the commit is lost, as if the service were killed then. Whether the token was traded is not known, and the
// same token gets an answer that is good.
func TestALostAnswerLogsNobodyOut(t *testing.T) {
	l, db := accounts(t)
	proxy := testenv.StartProxy(t, db.Addr())
	cut := loginsOf(t, through{db, proxy})
	token := l.mustLogin(t)
	for range 3 {
		proxy.CutBeforeAnswer([]byte(testenv.CommitAnswer), 1)
		cut.refused(t, "the answer is lost", token, primary.ErrUnknownOutcome)
		next := l.mustRefresh(t, token)
		if again := l.mustRefresh(t, token); again != next {
			t.Errorf("answers %s and %s", next, again)
		}
		token = next
	}
	proxy.CutBeforeAnswer([]byte(testenv.CommitAnswer), 1)
	if err := cut.Logout(t.Context(), token); !errors.Is(err, primary.ErrUnknownOutcome) {
		t.Errorf("log out: %v", err)
	}
	if err := l.Logout(t.Context(), token); err != nil {
		t.Error(err)
	}
	l.refused(t, "logged out", token, ErrRefreshToken)
	proxy.CutBeforeAnswer([]byte(testenv.CommitAnswer), 1)
	if _, err := cut.Login(t.Context(), "user1", fixture.Password); !errors.Is(err, ErrUnavailable) {
		t.Errorf("login: %v", err)
	}
}

// Requests with one token at the same time all get the same next token, and it is good.
func TestParallelRefreshes(t *testing.T) {
	l, _ := accounts(t)
	token := l.mustLogin(t)
	for range 3 {
		answers := make([]string, 20)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				answer, err := l.Refresh(t.Context(), token)
				if answers[i] = answer.Refresh; err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, a := range answers {
			if a != answers[0] || a == token || a == "" {
				t.Fatalf("answers %v", answers)
			}
		}
		token = answers[0]
	}
}

func TestALogoutEndsTheFamily(t *testing.T) {
	l, _ := accounts(t)
	first, second := l.mustLogin(t), l.mustLogin(t)
	for range 2 {
		if err := l.Logout(t.Context(), first); err != nil {
			t.Fatal(err)
		}
	}
	l.refused(t, "logged out", first, ErrRefreshToken)
	for _, none := range []string{"", "x", newRefreshToken().String()} {
		if err := l.Logout(t.Context(), none); err != nil {
			t.Errorf("%q: %v", none, err)
		}
	}
	l.mustRefresh(t, second) // another login
}

// A new password ends all families. A family that begins with the old password while it is changed does not count.
func TestANewPasswordEndsAllFamilies(t *testing.T) {
	l, db := accounts(t)
	second := l.mustLogin(t)
	before, err := l.byID(t.Context(), l.conns, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.ChangePassword(t.Context(), 1, "wrong", "12345678"); !errors.Is(err, ErrPassword) {
		t.Errorf("wrong: %v", err)
	}
	if err := l.ChangePassword(t.Context(), 99, fixture.Password, "12345678"); !errors.Is(err, ErrUnknownUser) {
		t.Errorf("nobody: %v", err)
	}
	second = l.mustRefresh(t, second)
	if err := l.ChangePassword(t.Context(), 1, fixture.Password, "12345678"); err != nil {
		t.Fatal(err)
	}
	l.refused(t, "the password was changed", second, ErrRefreshToken)
	late, err := l.families.begin(t.Context(), *before)
	if err != nil {
		t.Fatal(err)
	}
	l.refused(t, "begun with the old password", late.String(), ErrRefreshToken)
	if _, err := l.Login(t.Context(), "user1", fixture.Password); !errors.Is(err, ErrCredentials) {
		t.Errorf("the old password: %v", err)
	}
	token, err := l.Login(t.Context(), "user1", "12345678")
	if err != nil {
		t.Fatal(err)
	}
	l.mustRefresh(t, token.Refresh)
	db.Exec(t, "UPDATE users SET role = 'admin' WHERE id = 1")
	if u, err := l.User(t.Context(), 1); err != nil || u != (User{ID: 1, Login: "user1", Role: auth.RoleAdmin}) {
		t.Errorf("%+v, %v", u, err)
	}
}

// W7: nobody fills the table by logging in. The newest families of a user stay.
func TestFamiliesAreBounded_W7(t *testing.T) {
	l, db := accounts(t)
	u, err := l.byID(t.Context(), l.conns, 1)
	if err != nil {
		t.Fatal(err)
	}
	var tokens []refreshToken
	for range familiesAtMost + 3 {
		token, err := l.families.begin(t.Context(), *u)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	if n := fixture.Count(t, db, "SELECT count(*) FROM refresh_families"); n != familiesAtMost {
		t.Errorf("%d families", n)
	}
	l.refused(t, "the oldest", tokens[0].String(), ErrRefreshToken)
	l.mustRefresh(t, tokens[3].String())
	db.Exec(t, "UPDATE refresh_families SET expires_at = now(), user_id = 2")
	if _, err := l.families.begin(t.Context(), *u); err != nil {
		t.Fatal(err)
	}
	if n := fixture.Count(t, db, "SELECT count(*) FROM refresh_families"); n != familiesAtMost+1-expiredAtOnce {
		t.Errorf("%d families", n)
	}
}

// W4: requests with refresh tokens beyond the places are refused at once.
func TestRefreshesAreBounded_W4(t *testing.T) {
	l, db := accounts(t)
	token := l.mustLogin(t)
	conn, err := pgx.Connect(t.Context(), db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; SELECT 1 FROM refresh_families FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for range familyPlaces {
		wg.Go(func() {
			if _, err := l.Refresh(t.Context(), token); err != nil && !errors.Is(err, ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	testenv.Eventually(t, 10*time.Second, "all places are taken", func() bool { return len(l.families.places) == familyPlaces })
	l.refused(t, "one more", token, ErrBusy)
	if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
}
