package primary

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// connections is the size of the pool if the URL doesn't set pool_max_conns: as many bids commit
// together, and more would only wait for the same two cores.
const connections = "16"

// ParseURL reads the URL of the primary, of one host or several. Only the host that takes writes may
// be used: target_session_attrs=read-write is added, and another value refused. Errors never repeat
// the URL, which holds a password.
func ParseURL(primary string) (*pgxpool.Config, error) {
	if !strings.HasPrefix(primary, "postgres://") && !strings.HasPrefix(primary, "postgresql://") {
		return nil, errors.New("not a postgres:// URL")
	}
	// net/url refuses several hosts with ports, so only the query is taken apart here.
	base, query, _ := strings.Cut(primary, "?")
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("malformed query")
	}
	for _, attrs := range params["target_session_attrs"] {
		if attrs != "read-write" {
			return nil, fmt.Errorf("target_session_attrs must be read-write, not %s", attrs)
		}
	}
	params.Set("target_session_attrs", "read-write")
	if !params.Has("pool_max_conns") {
		params.Set("pool_max_conns", connections)
	}
	return pgxpool.ParseConfig(base + "?" + params.Encode())
}
