package sqlbook

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/time/rate"
)

// A connection keeps its server, through pgpool-II as well. While the standby is away, the connections of its paths
// lead to the primary, and they would stay there. So a connection whose answer is a primary's is given up once it is
// astrayAge old. The rate bounds how many connections are made in vain while the standby is away.
const (
	astrayAge  = 2 * time.Second
	astrayRate = rate.Limit(4) // a second, of one path
)

// madeAt is where a connection keeps when it was made.
const madeAt = "madeAt"

// goesBack says whether a connection should be given up so that a new one may lead to the standby.
func (p *Postgres) goesBack(conn *pgx.Conn) bool {
	made, known := conn.PgConn().CustomData()[madeAt].(time.Time)
	return known && time.Since(made) >= astrayAge && p.astray.Allow()
}

// giveUp closes a connection in the background and frees its place at once.
func giveUp(conn *pgxpool.Conn) {
	single := conn.Hijack()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = single.Close(ctx) // nobody uses it any more, so an error does not matter
	}()
}
