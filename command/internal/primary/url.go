package primary

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ParseURL reads the URL of the primary, of one host or several. It adds target_session_attrs=read-write, because
// only the host that takes writes may be used, and refuses any other value. Errors never repeat the URL, which holds
// a password.
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
	return pgxpool.ParseConfig(base + "?" + params.Encode())
}
