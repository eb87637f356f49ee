package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// ErrNoPrimary is returned when no server of PRIMARY_URL takes writes. The message has the answer of each server.
var ErrNoPrimary = errors.New("no server of PRIMARY_URL is a primary")

// Node is a server and its own answer about what it is.
type Node struct {
	Server
	pg.Identity
	Version int // major
}

// primary says whether the node takes writes.
func (n Node) primary() bool { return n.Timeline != 0 }

// Find asks all servers at once and returns the primary. It gives up a silent server after connectTime and AnswerTime.
// If several servers take writes, because an old primary runs on after a promotion, the one on the highest timeline is
// the primary, because each promotion begins a higher timeline. Servers of the preferred system come first (0: none is
// preferred). Among equal servers the order of the connection string decides.
func Find(ctx context.Context, servers []Server, preferred uint64) (Node, error) {
	nodes, errs := make([]Node, len(servers)), make([]error, len(servers))
	var asked sync.WaitGroup
	for i, s := range servers {
		asked.Go(func() { nodes[i], errs[i] = s.ask(ctx) })
	}
	asked.Wait()
	if node, ok := choose(nodes, preferred); ok {
		return node, nil
	}
	var answers []string
	for i, s := range servers {
		answer := "is a standby"
		if errs[i] != nil {
			answer = errs[i].Error()
		}
		answers = append(answers, s.String()+": "+answer)
	}
	return Node{}, fmt.Errorf("%w (%s)", ErrNoPrimary, strings.Join(answers, "; "))
}

func choose(nodes []Node, preferred uint64) (Node, bool) {
	nodes = slices.DeleteFunc(slices.Clone(nodes), func(n Node) bool { return !n.primary() })
	if slices.ContainsFunc(nodes, func(n Node) bool { return n.System == preferred }) {
		nodes = slices.DeleteFunc(nodes, func(n Node) bool { return n.System != preferred })
	}
	if len(nodes) == 0 {
		return Node{}, false
	}
	// MaxFunc returns the first of equal nodes.
	return slices.MaxFunc(nodes, func(a, b Node) int { return int(int64(a.Timeline) - int64(b.Timeline)) }), true
}

// ask identifies the server over a connection of its own.
func (s Server) ask(ctx context.Context) (Node, error) {
	conn, err := s.Open(ctx, map[string]string{"application_name": "replicator-find"})
	if err != nil {
		return Node{}, err
	}
	node, err := s.Identify(ctx, conn)
	return node, errors.Join(err, Close(conn))
}

// Still says whether the server of a node still is that node. It may have been opened since.
func (n Node) Still(ctx context.Context) bool {
	now, err := n.ask(ctx)
	now.Closed = n.Closed
	return err == nil && now == n
}

// Identify asks over a connection which node the server is.
func (s Server) Identify(ctx context.Context, conn *pgx.Conn) (Node, error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	is, err := pg.Identify(ctx, conn)
	if err != nil {
		return Node{}, fmt.Errorf("identify %s: %w", s, err)
	}
	return Node{Server: s, Identity: is, Version: major(conn.PgConn())}, nil
}
