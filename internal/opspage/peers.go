package opspage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// askTime bounds one answer of a peer. A peer that is stopped takes the connection and answers nothing.
	askTime = 900 * time.Millisecond
	// silentAfter is when a peer that is not heard is told as an event.
	silentAfter = 5 * time.Second
	maxReport   = 256 << 10 // bytes
)

// Peers are the addresses of the pages of other services, as a variable has them: URLs without a path, separated by
// commas.
type Peers []string

// UnmarshalText reads the variable. The error names the first part that is no http or https URL.
func (p *Peers) UnmarshalText(text []byte) error {
	for part := range strings.SplitSeq(string(text), ",") {
		if part = strings.TrimRight(strings.TrimSpace(part), "/"); part == "" {
			continue
		}
		u, err := url.Parse(part)
		if err != nil || u.Host == "" || u.Path != "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%q is not of the form http://host:port", part)
		}
		*p = append(*p, part)
	}
	return nil
}

// peer is another service whose reports are read.
type peer struct {
	url, address string
	client       *http.Client
	began        time.Time

	mu     sync.Mutex
	heard  time.Time // zero: never
	report json.RawMessage
	name   string // of the service
	silent bool   // and told so
}

func newPeers(urls Peers, now time.Time) (all []*peer) {
	for _, u := range urls {
		_, address, _ := strings.Cut(u, "://")
		all = append(all, &peer{url: u, address: address, began: now, name: "service", client: &http.Client{Timeout: askTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}})
	}
	return all
}

// ask reads the peer's report.
func (p *peer) ask(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+statePath, nil)
	if err != nil {
		return err
	}
	w, err := p.client.Do(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(w.Body, maxReport))
	if err := errors.Join(err, w.Body.Close()); err != nil {
		return err
	}
	var is struct{ Service string }
	if w.StatusCode != http.StatusOK || json.Unmarshal(text, &is) != nil || is.Service == "" {
		return fmt.Errorf("%s: status %s and no report", p.url, w.Status)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard, p.report, p.name = time.Now(), text, is.Service
	return nil
}

// as is the peer at a time, as the page gets it.
func (p *peer) as(now time.Time) Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	silent := int64(-1)
	if !p.heard.IsZero() {
		silent = max(now.Sub(p.heard).Milliseconds(), 0)
	}
	return Peer{Address: p.address, Silent: silent, Report: p.report}
}

// turn tells when the peer falls silent, and when it is heard again.
func (p *peer) turn(now time.Time, tell func(Kind, ...any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := p.heard
	if since.IsZero() {
		since = p.began
	}
	silent := now.Sub(since) > silentAfter
	if silent == p.silent {
		return
	}
	p.silent = silent
	switch {
	case !silent:
		tell(PeerHeard, p.name, p.address)
	case p.heard.IsZero():
		tell(PeerUnreached, p.address)
	default:
		tell(PeerSilent, p.name, p.address, int(silentAfter.Seconds()))
	}
}

// listen asks the peer once a second until ctx ends. An error is not logged, because the page says since when the peer is
// silent.
func (p *peer) listen(ctx context.Context, tell func(Kind, ...any)) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		_ = p.ask(ctx)
		p.turn(time.Now(), tell)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
