package deploy

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// Limits are those of the front door. Durations are written as HAProxy writes them, such as 5s.
type Limits struct {
	MaxConn, FeedConns int
	// What one address may have: connections, requests a second, feeds.
	AddressConns, AddressRate, AddressFeeds int
	// How many requests may be in all instances of a service at once.
	BidPlaces, AccountPlaces, KeyPlaces, ReadPlaces int
	MaxBody                                         int // bytes
	BodyTime, AnswerTime, FeedSilence               string
	LogSample                                       int // one request in so many is logged
	Threads                                         int // 0: as many as there are cores
}

// ReadLimits takes the limits from an environment. nofile is how many descriptors the front door may have. All wrong
// values are reported together.
func ReadLimits(getenv func(string) string, nofile int) (Limits, error) {
	var errs []error
	number := func(name string, otherwise int) int {
		text := getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			errs = append(errs, fmt.Errorf("%s=%s is not a number above 0", name, text))
		}
		return n
	}
	duration := func(name, otherwise string) string {
		text := getenv(name)
		if text == "" {
			return otherwise
		}
		if !isDuration.MatchString(text) {
			errs = append(errs, fmt.Errorf("%s=%s is not a duration such as 500ms or 5s", name, text))
		}
		return text
	}
	// HAProxy needs two descriptors for each connection, and some for itself.
	conns := number("FRONT_MAXCONN", min(max((nofile-500)/2, 500), 16000))
	l := Limits{
		MaxConn: conns, FeedConns: number("FEED_CONNS", conns*6/10),
		AddressConns: number("ADDRESS_CONNS", 500), AddressRate: number("ADDRESS_RATE", 2000), AddressFeeds: number("ADDRESS_FEEDS", 100),
		BidPlaces: number("BID_PLACES", 1024), AccountPlaces: number("ACCOUNT_PLACES", 128), KeyPlaces: 64, ReadPlaces: 1024,
		MaxBody: 16384, LogSample: number("LOG_SAMPLE", 1000), Threads: number("FRONT_THREADS", 0),
		BodyTime: duration("BODY_TIME", "5s"), AnswerTime: duration("ANSWER_TIME", "15s"), FeedSilence: duration("FEED_SILENCE", "45s"),
	}
	if conns < 100 {
		errs = append(errs, fmt.Errorf("FRONT_MAXCONN=%d is less than 100", conns))
	}
	return l, errors.Join(errs...)
}

var isDuration = regexp.MustCompile(`^[1-9][0-9]{0,8}(us|ms|s|m|h)$`)

// FrontConns leaves some connections for the statistics.
func (l Limits) FrontConns() int { return l.MaxConn - 20 }

// RateFar is a rate at which an address has to wait for its refusals.
func (l Limits) RateFar() int { return l.AddressRate * 2 }

// Refused is how many refusals a second an address gets before it has to wait for them.
func (l Limits) Refused() int { return l.AddressRate / 5 }
