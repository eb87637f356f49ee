// Package limit bounds the rate of requests, per user and per client address, with token buckets of this
// process.
package limit

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bucketsAtMost is how many buckets one Limiter keeps, some 6 MB of addresses or 9 MB of logins.
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

// interval is how long a token takes to come back, rounded to nanoseconds.
func (r Rate) interval() time.Duration {
	return time.Duration(math.Round(float64(time.Second) / r.PerSecond))
}

// whole is how long an empty bucket takes to be full.
func (r Rate) whole() time.Duration { return r.interval() * time.Duration(r.Burst) }

// Limiter has a bucket for each key that asked lately.
type Limiter[K comparable] struct {
	burst           int
	interval, whole time.Duration // of its Rate
	most            int
	start           time.Time
	mu              sync.Mutex
	buckets         map[K]*bucket
}

// bucket is the time at which it is full again, counted from the limiter's start, so that it does not matter if
// somebody sets the clock. Each token that is taken moves this time by one interval.
type bucket struct{ full time.Duration }

// lacks is how long the bucket takes to be full.
func (b *bucket) lacks(at time.Duration) time.Duration { return max(b.full-at, 0) }

// NewLimiter returns a limiter of a rate, nil for the zero Rate. A nil Limiter grants everything.
func NewLimiter[K comparable](r Rate) *Limiter[K] {
	if r == (Rate{}) {
		return nil
	}
	return &Limiter[K]{burst: r.Burst, interval: r.interval(), whole: r.whole(), most: bucketsAtMost, start: time.Now(),
		buckets: make(map[K]*bucket)}
}

// Standing says how a request and its bucket stand.
type Standing struct {
	// Wait is how long the bucket takes to have enough for the request; 0: the request is granted.
	Wait time.Duration
	// Low says that less than half of the bucket is left. Left and More are set only if the bucket is low or the request
	// has to wait.
	Low bool
	// Left is how many whole tokens the bucket has now, and More how long it takes to have one more.
	Left int
	More time.Duration
}

// Take takes so many tokens, or none if the bucket has fewer. before is how many tokens the request has already taken.
// Wait is for both, because the request takes them all when it comes again. Together it takes at most the burst.
func (l *Limiter[K]) Take(key K, tokens, before int, now time.Time) Standing {
	if l == nil {
		return Standing{}
	}
	all := min(before+tokens, l.burst)
	l.mu.Lock()
	defer l.mu.Unlock()
	at := now.Sub(l.start)
	b := l.bucket(key, at)
	lacks := b.lacks(at)
	after := lacks + l.interval*time.Duration(max(all-before, 0))
	if after > l.whole {
		return l.standing(lacks, lacks+l.interval*time.Duration(all)-l.whole)
	}
	b.full = at + after
	return l.standing(after, 0)
}

// Owe takes so many tokens. The bucket may go below zero; then later requests wait until it is filled again.
func (l *Limiter[K]) Owe(key K, tokens int, now time.Time) Standing {
	if l == nil {
		return Standing{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := now.Sub(l.start)
	b := l.bucket(key, at)
	b.full = at + b.lacks(at) + l.interval*time.Duration(min(tokens, l.burst))
	return l.standing(b.lacks(at), 0)
}

// standing is that of a bucket which takes so long to be full.
func (l *Limiter[K]) standing(lacks, wait time.Duration) Standing {
	s := Standing{Wait: wait, Low: 2*lacks > l.whole}
	if s.Low || wait > 0 {
		s.Left = int(max(l.whole-lacks, 0) / l.interval)
		s.More = lacks + l.interval*time.Duration(s.Left+1) - l.whole
	}
	return s
}

// bucket is the bucket of a key. The lock must be held.
func (l *Limiter[K]) bucket(key K, at time.Duration) *bucket {
	b := l.buckets[key]
	if b == nil {
		if len(l.buckets) >= l.most {
			l.evict()
		}
		b = &bucket{full: at}
		l.buckets[key] = b
	}
	return b
}

// evict looks at a few buckets and drops the fullest, because a full bucket limits no more than a missing one.
func (l *Limiter[K]) evict() {
	const few = 8
	var fullest K
	first, seen := time.Duration(math.MaxInt64), 0
	for key, b := range l.buckets { // in random order
		if b.full < first {
			fullest, first = key, b.full
		}
		if seen++; seen == few {
			break
		}
	}
	delete(l.buckets, fullest)
}
