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

// ErrNoPrimary is returned when no server of PRIMARY_URL takes writes; the message says what each answered.
var ErrNoPrimary = errors.New("no server of PRIMARY_URL is a primary")

// Node is a server as it answered.
type Node struct {
	Server
	pg.Identity
	Version int // major
}

// primary says whether the node takes writes.
func (n Node) primary() bool { return n.Timeline != 0 }

// Find asks all servers at once and returns the primary. A server that does not answer is given up after
// connectTime and AnswerTime at most. Several servers take writes after a promotion if the old primary runs
// on: the one on the highest timeline is the primary, because each promotion begins a higher one. Servers of
// the preferred system come first (0: none is preferred), then the order of the connection string decides.
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
	// Of equal ones MaxFunc returns the first.
	return slices.MaxFunc(nodes, func(a, b Node) int { return int(int64(a.Timeline) - int64(b.Timeline)) }), true
}

// ask opens a connection for one question.
func (s Server) ask(ctx context.Context) (Node, error) {
	conn, err := s.Open(ctx, map[string]string{"application_name": "replicator-find"})
	if err != nil {
		return Node{}, err
	}
	node, err := s.Identify(ctx, conn)
	return node, errors.Join(err, Close(conn))
}

// Still asks the server of a node whether it is that node.
func (n Node) Still(ctx context.Context) bool {
	now, err := n.ask(ctx)
	return err == nil && now == n
}

// Identify asks a connection which node this is.
func (s Server) Identify(ctx context.Context, conn *pgx.Conn) (Node, error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	is, err := pg.Identify(ctx, conn)
	if err != nil {
		return Node{}, fmt.Errorf("identify %s: %w", s, err)
	}
	return Node{Server: s, Identity: is, Version: major(conn.PgConn())}, nil
}
