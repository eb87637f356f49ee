package deploy

import (
	"fmt"
	"net/url"
	"strings"
)

// Database is the name of the database of the system.
const Database = "pyramid"

// DatabaseURL is a connection string with one or more servers, which a client tries in this order. Parameters, such
// as target_session_attrs, come as name and value. Without sslmode the client speaks plain text. Without a password the
// client looks for it in the file of PGPASSFILE.
func DatabaseURL(role, password string, servers []Address, parameters ...string) string {
	hosts := make([]string, len(servers))
	for i, s := range servers {
		hosts[i] = s.String()
	}
	q := url.Values{"sslmode": {"disable"}}
	for i := 0; i+1 < len(parameters); i += 2 {
		q.Set(parameters[i], parameters[i+1])
	}
	user := url.User(role)
	if password != "" {
		user = url.UserPassword(role, password)
	}
	return fmt.Sprintf("postgres://%s@%s/%s?%s", user, strings.Join(hosts, ","), Database, q.Encode())
}

// Environment is that of one program, NAME=value each.
type Environment []string

// File is the environment as lines of NAME='value'. The values can't hold quotes or line breaks.
func (e Environment) File() (File, error) {
	var b strings.Builder
	for _, pair := range e {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || strings.ContainsAny(value, "'\n\r\x00") {
			return File{}, fmt.Errorf("the value of %s has a quote or a line break", name)
		}
		fmt.Fprintf(&b, "%s='%s'\n", name, value)
	}
	return File{Content: b.String(), Mode: 0o600}, nil
}

// Parameters are those of a DatabaseURL that leads to servers with TLS.
func (t *TLS) Parameters() []string {
	if t == nil {
		return nil
	}
	return []string{"sslmode", "verify-full", "sslrootcert", t.CA}
}
