// Package pg is what the services know of PostgreSQL alike: the hosts of a connection string, what a server says that it
// is, and the codes of its errors.
package pg

import (
	"context"
	"net"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Hosts takes a connection string apart: it returns one configuration for each host and port, in order. A host that the
// string names with TLS and without (sslmode=prefer) is one host with a fallback.
func Hosts(all *pgx.ConnConfig) (hosts []*pgx.ConnConfig) {
	ways := append([]*pgconn.FallbackConfig{{Host: all.Host, Port: all.Port, TLSConfig: all.TLSConfig}}, all.Fallbacks...)
	for i, way := range ways {
		if i > 0 && way.Host == ways[i-1].Host && way.Port == ways[i-1].Port {
			last := hosts[len(hosts)-1]
			last.Fallbacks = append(last.Fallbacks, way)
			continue
		}
		one := all.Copy()
		one.Host, one.Port, one.TLSConfig, one.Fallbacks = way.Host, way.Port, way.TLSConfig, nil
		hosts = append(hosts, one)
	}
	return slices.Clip(hosts)
}

// Address is the host:port of a configuration.
func Address(c *pgx.ConnConfig) string { return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))) }

// Identity is what a server says that it is.
type Identity struct {
	System   uint64
	Timeline uint32 // on which a primary writes; 0 of a standby
	Started  int64  // when the server was started, in microseconds since the Unix epoch by its own clock
	Closed   bool   // it takes no writes: it is a standby, or its transactions are read-only by default
}

// Identify asks a connection for its server's identity. The name of a WAL file begins with the timeline, in hexadecimal.
func Identify(ctx context.Context, conn *pgx.Conn) (Identity, error) {
	var system int64
	var i Identity
	err := conn.QueryRow(ctx, `SELECT system_identifier, CASE WHEN pg_is_in_recovery() THEN 0
			ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint END,
			(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, current_setting('transaction_read_only') = 'on'
		FROM pg_control_system()`).Scan(&system, &i.Timeline, &i.Started, &i.Closed)
	if err != nil {
		return Identity{}, err
	}
	i.System = uint64(system)
	return i, nil
}
