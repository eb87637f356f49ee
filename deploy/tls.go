package deploy

import (
	"crypto/sha256"
	"fmt"
)

// TLS has the files by which a server speaks TLS. A nil TLS stands for a server that speaks plain text.
type TLS struct {
	CA   string // the certificate of the authority that signs all others
	File string // the server's certificate and its key
}

// hostType is the type of a line of pg_hba.conf, which pgpool-II knows, too.
func (t *TLS) hostType() string {
	if t == nil {
		return "host  "
	}
	return "hostssl"
}

// HostType is the type of a line of pg_hba.conf that lets somebody in.
func (n Node) HostType() string { return n.TLS.hostType() }

// HostType is the type of a line of pool_hba.conf that lets somebody in.
func (p Pgpool) HostType() string { return p.TLS.hostType() }

// Bind is what a listener of HAProxy needs beyond its address.
func (d FrontDoor) Bind() (string, error) {
	if d.TLS == nil {
		return "", nil
	}
	file, err := word(d.TLS.File)
	return " ssl crt " + file + " alpn http/1.1", err
}

// To is what a server line needs beyond the address of an instance of the service.
func (d FrontDoor) To(service string) (string, error) {
	if d.TLS == nil {
		return "", nil
	}
	ca, err := word(d.TLS.CA)
	return fmt.Sprintf(" ssl verify required ca-file %s verifyhost %s", ca, service), err
}

// Check is what a health check needs, because it goes to another port.
func (d FrontDoor) Check() string {
	if d.TLS == nil {
		return ""
	}
	return " check-ssl"
}

// What the users of Redis may do. Nobody can log in as default, but Redis loads its append-only file with that user's rights.
// query reads the read model with the commands of its lookups and feeds. The replicator
// may do everything with its own keys and nothing with others, and it can't empty or configure the server.
const (
	queryKeys     = "%R~{*}:* %R~pyramid:checkpoint"
	queryCommands = "+get +hmget +zrange +zcard +zcount +smembers +sismember +smismember +exists +type +xread +xrange +xrevrange +xinfo|stream +eval_ro" +
		" +multi +exec +discard +ping +info +select +client|setname"
	replicatorKeys     = "~{*}:* ~pyramid:*"
	replicatorCommands = "+@read +@write +@transaction +eval +evalsha +eval_ro -@dangerous" +
		" +restore +info +bgrewriteaof +ping +select +client|setname"
)

// QueryKeys are the patterns of the keys that query may read.
func (Redis) QueryKeys() string { return queryKeys }

// QueryCommands are the commands that query may send.
func (Redis) QueryCommands() string { return queryCommands }

// ReplicatorKeys are the patterns of the keys that the replicator may read and write.
func (Redis) ReplicatorKeys() string { return replicatorKeys }

// ReplicatorCommands are the commands that the replicator may send.
func (Redis) ReplicatorCommands() string { return replicatorCommands }

// Hash is a user's password as users.acl has it. While a password is changed, both passwords are good.
func (r Redis) Hash(user string) (string, error) {
	passwords := r.Passwords[user]
	if len(passwords) == 0 || passwords[0] == "" {
		return "", fmt.Errorf("the user %s of Redis has no password", user)
	}
	text := ""
	for i, p := range passwords {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("#%x", sha256.Sum256([]byte(p)))
	}
	return text, nil
}
