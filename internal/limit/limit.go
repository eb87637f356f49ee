// Package limit bounds the rate of requests, per user and per client address, with token buckets of this
// process.
package limit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// bucketsAtMost is how many buckets one Limiter keeps, some 15 MB.
const bucketsAtMost = 1 << 16

// Rate is how many requests per second may come in the long run, and how many may come at once. The zero Rate is no
// limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Rates are the limits by user (User), by address (Address), of login attempts by login (Login), of logins and
// registrations by address (LoginAddress), and of reads by address, in weights (Read).
type Rates struct{ User, Address, Login, LoginAddress, Read Rate }

// UnmarshalText reads "user=20/40,address=200/400,login=0.5/20,login-address=5/100,read=2000/4000": rate per second,
// slash, burst. A rate that is not named has no limit.
func (r *Rates) UnmarshalText(text []byte) error {
	var read Rates
	if len(text) == 0 {
		*r = read
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		to := map[string]*Rate{"user": &read.User, "address": &read.Address,
			"login": &read.Login, "login-address": &read.LoginAddress, "read": &read.Read}[name]
		if to == nil || *to != (Rate{}) {
			return fmt.Errorf("want user=, address=, login=, login-address= and read=RATE/BURST, each once, not %q", part)
		}
		var err error
		if *to, err = parseRate(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	*r = read
	return nil
}

func parseRate(text string) (Rate, error) {
	perSecond, burst, _ := strings.Cut(text, "/")
	r, errRate := strconv.ParseFloat(perSecond, 64)
	b, errBurst := strconv.Atoi(burst)
	// Written this way, the comparison also refuses NaN.
	if errRate != nil || errBurst != nil || !(r >= 0.001 && r <= 1e6) || b < 1 || b > 1e6 {
		return Rate{}, errors.New("want RATE/BURST, 0.001 to 1000000 a second and 1 to 1000000 at once")
	}
	return Rate{PerSecond: r, Burst: b}, nil
}

// Limiter has a bucket for each key that asked lately.
type Limiter[K comparable] struct {
	rate    Rate
	most    int
	mu      sync.Mutex
	buckets map[K]*rate.Limiter
}

// NewLimiter returns a limiter of a rate, nil for the zero Rate. A nil Limiter grants everything.
func NewLimiter[K comparable](r Rate) *Limiter[K] {
	if r == (Rate{}) {
		return nil
	}
	return &Limiter[K]{rate: r, most: bucketsAtMost, buckets: make(map[K]*rate.Limiter)}
}

// Take takes so many tokens and returns 0. If the bucket has fewer, Take returns how long it is until it has enough.
// A request for more than the burst takes the whole burst.
func (l *Limiter[K]) Take(key K, tokens int, now time.Time) time.Duration {
	if l == nil {
		return 0
	}
	tokens = min(tokens, l.rate.Burst)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key, now)
	if b.AllowN(now, tokens) {
		return 0
	}
	reserved := b.ReserveN(now, tokens)
	defer reserved.CancelAt(now)
	return reserved.DelayFrom(now)
}

// Owe takes so many tokens. The bucket may go below zero; then later requests wait until it is filled again.
func (l *Limiter[K]) Owe(key K, tokens int, now time.Time) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bucket(key, now).ReserveN(now, min(tokens, l.rate.Burst))
}

// bucket is the bucket of a key. The lock must be held.
func (l *Limiter[K]) bucket(key K, now time.Time) *rate.Limiter {
	b := l.buckets[key]
	if b == nil {
		if len(l.buckets) >= l.most {
			l.evict(now)
		}
		b = rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst)
		l.buckets[key] = b
	}
	return b
}

// evict looks at a few buckets and drops the fullest, because a full bucket limits no more than a missing one.
func (l *Limiter[K]) evict(now time.Time) {
	const few = 8
	var fullest K
	most, seen := -1.0, 0
	for key, b := range l.buckets { // in random order
		if tokens := b.TokensAt(now); tokens > most {
			fullest, most = key, tokens
		}
		if seen++; seen == few {
			break
		}
	}
	delete(l.buckets, fullest)
}
