package main

import (
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/internal/service"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/opsfeed"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/session"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// page is the page for operators with what it needs.
type page struct {
	*opsfeed.Feed
	service *service.Service
	config  *config
	guard   opspage.Guard
}

// newPage makes the page, which hears what the replicator does from then on.
func newPage(s *service.Service, cfg *config, r *session.Replicator) *page {
	p := &page{service: s, config: cfg, guard: opspage.Guard{Hosts: cfg.Hosts}}
	if cfg.JWKSURL != "" {
		keys := auth.NewRemote(cfg.JWKSURL, s.Log)
		s.Add(keys.Run)
		p.guard.Verifier = auth.NewVerifier(keys, cfg.Clock().Now)
	}
	p.Feed = opsfeed.New(r, opspage.Options{Instance: cfg.ListenAddr, Peers: cfg.Peers, Guard: p.guard, Log: s.Log, Now: cfg.Clock().Now})
	return p
}

// compares shows the background comparison, unless it is nil, and returns the function that asks for one by hand.
func (p *page) compares(background *verify.Background) (func(repair bool) error, error) {
	if background != nil {
		p.Compares(background)
	}
	options, err := p.config.options()
	if err != nil {
		return nil, err
	}
	c := opsfeed.NewComparison(verify.New(p.config.PrimaryURL, options), p.Tell)
	p.Asks(c)
	p.service.Add(c.Run)
	return c.Ask, nil
}
