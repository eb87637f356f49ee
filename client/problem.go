package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is an answer that refuses a request (RFC 9457). It is in the chain of the error of a call; see ProblemType.
type Problem struct {
	// Type says what happened, and never changes.
	Type   ProblemType `json:"type"`
	Title  string      `json:"title"`
	Status int         `json:"status"`
	Detail string      `json:"detail"`
	// Instance is the path of the request, with the id of the request as the fragment.
	Instance string `json:"instance"`
	// Errors are the fields, parameters or headers that are wrong.
	Errors []FieldError `json:"errors"`
	// RetryAfter is how long to wait before the next attempt; 0 if the answer does not say.
	RetryAfter time.Duration `json:"-"`
}

// FieldError says what is wrong with a field, a parameter or a header.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error has the status, the type, the detail, and what is wrong with which field.
func (p *Problem) Error() string {
	var fields strings.Builder
	for _, e := range p.Errors {
		fmt.Fprintf(&fields, "; %s %s", e.Field, e.Detail)
	}
	return fmt.Sprintf("%d %s: %s%s", p.Status, p.Type, p.Detail, fields.String())
}

// Is says whether target is the type of the problem, so that errors.Is(err, RaffleNotOpen) works.
func (p *Problem) Is(target error) bool {
	t, is := target.(ProblemType)
	return is && t == p.Type
}

// deniesPosition says whether the Min-LSN of a read is no position of the present history.
func (p *Problem) deniesPosition() bool {
	return (p.Type == PositionLost || p.Type == BadValue) && len(p.Errors) > 0 && p.Errors[0].Field == "Min-LSN"
}

// nothingDone says whether the system has refused a request before it did anything. A 408 says that it did not get the
// request whole. A 503 of another server says nothing about it.
func (p *Problem) nothingDone() bool {
	switch p.Type {
	case Busy, RaffleLocked, Unavailable, TooManyRequests:
		return true
	}
	return p.Status == http.StatusTooManyRequests || p.Status == http.StatusRequestTimeout
}

// detailAtMost bounds what is shown of an answer that is no problem document, in bytes.
const detailAtMost = 200

// problemOf reads a problem. An answer that is none becomes one of type Blank.
func problemOf(a Answer) *Problem {
	p := new(Problem)
	if err := json.Unmarshal(a.Body, p); err != nil || p.Type == "" {
		p = &Problem{Type: Blank, Title: http.StatusText(a.Status), Detail: strings.TrimSpace(string(a.Body[:min(len(a.Body), detailAtMost)]))}
	}
	p.Status = a.Status
	p.RetryAfter = retryAfter(a.Header.Get("Retry-After"), time.Now())
	return p
}

// retryAfter reads Retry-After (RFC 9110, 10.2.3): seconds or a time.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
