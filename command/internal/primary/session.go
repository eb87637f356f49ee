package primary

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// heldSession are the settings of a connection that holds a lock: the server must end it soon when the
// one who holds it is gone, cut off or stopped. Milliseconds, or seconds for the keepalives.
var heldSession = map[string]string{
	"idle_session_timeout": "5000",
	"tcp_keepalives_idle":  "2", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3",
}

// Connect makes a connection outside the sets, for locks of a session. It has to be used more often than
// every 5 s, or the server ends it.
func Connect(ctx context.Context, url string) (*pgx.Conn, error) {
	hosts, err := hostsOf(url, session, heldSession)
	if err != nil {
		return nil, err
	}
	return connect(ctx, hosts)
}
