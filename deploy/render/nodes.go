package main

import (
	"fmt"
	"path/filepath"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// names are the nodes in the order of their numbers in repmgr; the last is the witness.
var names = []string{"node1", "node2", "witness"}

// pairs are the nodes that each link is between.
var pairs = [][2]int{{0, 1}, {0, 2}, {1, 2}}

func (s stack) address(node int) deploy.Address {
	return deploy.Address{Host: s.host(names[node]), Port: []int{s.Node1Port, s.Node2Port, s.WitnessPort}[node]}
}

func (s stack) databaseNodes() []deploy.Peer {
	return []deploy.Peer{{Name: names[0], Address: s.address(0)}, {Name: names[1], Address: s.address(1)}}
}

// seenFrom is where a node finds another: at its own address, or at its side of the link between them.
func (s stack) seenFrom(node, other int) deploy.Address {
	if s.Links != "yes" {
		return s.address(other)
	}
	for i, pair := range pairs {
		switch [2]int{node, other} {
		case pair:
			return deploy.Address{Port: s.LinkPort + 2*i}
		case [2]int{pair[1], pair[0]}:
			return deploy.Address{Port: s.LinkPort + 2*i + 1}
		}
	}
	return s.address(other)
}

func (s stack) node(i int) deploy.Node {
	n := deploy.Node{
		Name: names[i], ID: i + 1, Witness: i == 2, Address: s.listener(s.address(i).Port), Clients: s.clients,
		Data: filepath.Join(s.Data, names[i], "data"), Conf: filepath.Join(s.Conf, names[i]), Sockets: s.sockets(names[i]),
		Bin: fmt.Sprintf("/usr/lib/postgresql/%d/bin", s.PGVersion), Program: s.NodeProgram,
		SharedBuffersMB: s.part(3, 64, 128, 768), CacheMB: s.part(1, 4, 256, 8192),
		OSUsers:   []string{s.osUser, s.PGUser},
		PCP:       deploy.Address{Host: s.host("pgpool"), Port: s.PCPPort},
		Backups:   s.Backups,
		Passwords: deploy.NodePasswords{Repmgr: s.passwords["repmgr"], Standby: s.passwords["standby"], Pgpool: s.passwords["pgpool"]},
	}
	n.TLS = s.tls(names[i])
	if n.Witness {
		n.SharedBuffersMB, n.CacheMB = 16, 64
	} else {
		n.Peer = names[1-i]
	}
	for other, name := range names {
		n.Peers = append(n.Peers, deploy.Peer{Name: name, Address: s.seenFrom(i, other)})
	}
	return n
}

// addNodes adds a folder for each node, and one for the links.
func (s stack) addNodes(conf deploy.Files) error {
	for i, name := range names {
		n := s.node(i)
		if err := add(conf, name)(n.Server()); err != nil {
			return err
		}
		if err := add(conf, name)(n.Cluster()); err != nil {
			return err
		}
	}
	if s.Links != "yes" {
		return nil
	}
	for i, pair := range pairs {
		var link deploy.Link
		for _, way := range [][2]int{pair, {pair[1], pair[0]}} {
			link.Ways = append(link.Ways, deploy.Way{
				Name: names[way[0]] + "-to-" + names[way[1]], From: s.seenFrom(way[0], way[1]), To: s.address(way[1]),
			})
		}
		if err := add(conf, "links")(link.Files(fmt.Sprintf("link-%d.cfg", i+1))); err != nil {
			return err
		}
	}
	return nil
}

// add returns a function that puts files into a folder of conf.
func add(conf deploy.Files, folder string) func(deploy.Files, error) error {
	return func(files deploy.Files, err error) error {
		for name, file := range files {
			conf[filepath.Join(folder, name)] = file
		}
		if err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
		return nil
	}
}
