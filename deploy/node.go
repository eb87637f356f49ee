package deploy

// Node is a PostgreSQL server: one of the database nodes, or the witness, which says who of them leads.
type Node struct {
	Name    string // the node's name in repmgr, its application_name and its slot
	ID      int    // the node's number in repmgr
	Witness bool
	Peer    string // the name of the other database node
	Address
	// Data is the data folder, Conf the folder that gets these files, Sockets the folder of the Unix socket.
	Data, Conf, Sockets string
	// Bin is the folder of PostgreSQL's programs, and Program the program node.
	Bin, Program             string
	SharedBuffersMB, CacheMB int
	// Clients are the networks that clients come from, Loopback alone by default.
	Clients []string
	// OSUsers may log in as superuser over the Unix socket.
	OSUsers []string
	// Peers are all nodes, this one included, at the addresses where this node finds them.
	Peers []Peer
	// PCP is where pgpool-II takes orders. A node of the database tells it there that the node is back.
	PCP       Address
	Passwords NodePasswords
	// Backups is the folder of the backups and of the archived WAL of both nodes; "": there are none.
	Backups  string
	Settings []Setting
	TLS      *TLS
}

// Peer is a node as another program sees it.
type Peer struct {
	Name string
	Address
}

// NodePasswords are the passwords by which nodes log in to each other and to pgpool-II.
type NodePasswords struct{ Repmgr, Standby, Pgpool string }

// Server is the configuration of the server alone.
func (n Node) Server() (Files, error) {
	n.complete()
	return n.files("postgres/", "postgresql.conf", "pg_hba.conf", "pg_ident.conf")
}

// Cluster is what repmgr and the program node need to handle the server.
func (n Node) Cluster() (Files, error) {
	n.complete()
	files, err := n.files("repmgr/", "repmgr.conf", "pg_service.conf", "pgpass", "pcppass", "node.env")
	if err == nil && n.Backups != "" && !n.Witness {
		err = files.add("pgbackrest.conf", "pgbackrest/pgbackrest.conf", 0o600, true, n)
	}
	return files, err
}

func (n *Node) complete() {
	n.Host, n.PCP.Host = orLoopback(n.Host), orLoopback(n.PCP.Host)
	n.Clients = orLocalClients(n.Clients)
	n.Peers = defaults(n.Peers)
}

func (n Node) files(folder string, names ...string) (Files, error) {
	files := Files{}
	for _, name := range names {
		if err := files.add(name, folder+name, 0o600, true, n); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Link is a forwarder between two nodes. A drill stops it, and the nodes are apart.
type Link struct{ Ways []Way }

// Way is one direction of a link.
type Way struct {
	Name     string
	From, To Address
}

// Files is the configuration of the link's HAProxy, under the given name.
func (l Link) Files(name string) (Files, error) {
	ways := append([]Way(nil), l.Ways...)
	for i := range ways {
		ways[i].From.Host, ways[i].To.Host = orLoopback(ways[i].From.Host), orLoopback(ways[i].To.Host)
	}
	files := Files{}
	return files, files.add(name, "haproxy/link.cfg", 0o644, false, Link{ways})
}
