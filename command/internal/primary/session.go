package primary

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// heldSession are the settings of a connection that holds a lock. They make the server end the connection soon after
// this service is gone, cut off or stopped. The timeout is in milliseconds, the keepalive times are in seconds.
var heldSession = map[string]string{
	"idle_session_timeout": "5000",
	"tcp_keepalives_idle":  "2", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3",
}

// Connect makes a connection that belongs to no Conns, for session locks. The caller must use it more often than
// every 5 s, otherwise the server ends it.
func Connect(ctx context.Context, url string) (*pgx.Conn, error) {
	hosts, err := hostsOf(url, session, heldSession)
	if err != nil {
		return nil, err
	}
	return connect(ctx, hosts)
}
