package primary

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// heldSession are the settings of a connection that holds a lock: the server must end it soon when the
// one who holds it is gone, cut off or stopped. Milliseconds, or seconds for the keepalives.
var heldSession = map[string]string{
	"idle_session_timeout": "5000",
	"tcp_keepalives_idle":  "2", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3",
}

// Connect makes a connection outside the pool, for locks of a session. It has to be used more often than
// every 5 s, or the server ends it.
func Connect(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("primary: %w", err)
	}
	for _, settings := range []map[string]string{session, heldSession} {
		for name, value := range settings {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	return pgx.ConnectConfig(ctx, config.ConnConfig)
}
