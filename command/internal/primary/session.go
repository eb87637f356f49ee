package primary

import (
	"context"
	"maps"

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
func (s *Server) Connect(ctx context.Context) (*pgx.Conn, error) {
	hosts := make([]*pgx.ConnConfig, 0, len(s.hosts))
	for _, h := range s.hosts {
		h = h.Copy()
		maps.Copy(h.RuntimeParams, heldSession)
		hosts = append(hosts, h)
	}
	return s.connect(ctx, hosts)
}

// Overtaken says whether another server was seen to write on a higher timeline than that of a connection of Connect.
func (s *Server) Overtaken(conn *pgx.Conn) bool { return s.timelines.Overtaken(identityOf(conn)) }
