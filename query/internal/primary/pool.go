package primary

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// errNone is the error of a pool's connections while no primary was found.
var errNone = errors.New("no primary was found yet")

// Lead makes a pool connect only to the primary that is watched, even if another host takes writes, too.
func (w *Watch) Lead(c *pgxpool.Config) {
	c.ConnConfig.ValidateConnect = nil
	c.BeforeConnect = func(ctx context.Context, one *pgx.ConnConfig) error {
		pg.Refresh(&one.Config)
		if w.State().Host == "" { // none was seen since the start
			w.polls.wait(ctx)
		}
		s := w.State()
		for _, h := range w.hosts {
			if h.config.Host == s.Host && h.config.Port == s.Port {
				one.Host, one.Port, one.TLSConfig, one.Fallbacks = s.Host, s.Port, h.config.TLSConfig, h.config.Fallbacks
				return nil
			}
		}
		return errNone
	}
	c.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) {
		s, is := w.State(), conn.Config()
		return is.Host == s.Host && is.Port == s.Port, nil
	}
}
