package deploy

import (
	"crypto/md5"
	"fmt"
	"strings"
)

// Pgpool is pgpool-II before the two database nodes.
type Pgpool struct {
	Address
	PCPPort int
	Run     string // the folder of sockets and of the pid file
	Nodes   []Peer
	Clients []string
	// Passwords are those of the roles that log in through pgpool-II, and of the role pgpool.
	Passwords map[string]string
	Settings  []Setting
	TLS       *TLS
}

// Files is its whole configuration.
func (p Pgpool) Files() (Files, error) {
	p.Host, p.Clients, p.Nodes = orLoopback(p.Host), orLocalClients(p.Clients), defaults(p.Nodes)
	files := Files{}
	for _, name := range []string{"pgpool.conf", "pool_hba.conf", "pool_passwd", "pcp.conf"} {
		if err := files.add(name, "pgpool/"+name, 0o600, true, p); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// PCPHash is the form in which pcp.conf has the password of the role pgpool.
func (p Pgpool) PCPHash() (string, error) {
	password := p.Passwords["pgpool"]
	if password == "" {
		return "", fmt.Errorf("the role pgpool has no password")
	}
	return fmt.Sprintf("%x", md5.Sum([]byte(password))), nil
}

// Escaped is the value as pgpool.conf quotes it.
func (Pgpool) Escaped(value string) string { return strings.ReplaceAll(value, "'", `\'`) }
