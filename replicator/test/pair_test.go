package test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// pair is two nodes of one system, a primary and its standby. The replicators reach each node through a proxy of its
// own. command reaches the primary only.
type pair struct {
	nodes   [2]*testenv.Postgres
	ways    [2]*testenv.Proxy
	front   *testenv.Proxy
	primary int // index of nodes
	present atomic.Pointer[testenv.Postgres]

	synchronous, frozen, paused bool
	alone                       bool // the other node has not joined again since a fork
}

// URL leads to the present primary. The goroutines of the readers call it too.
func (p *pair) URL(role string) string { return p.present.Load().URL(role) }

func (p *pair) standby() *testenv.Postgres { return p.nodes[1-p.primary] }

// hosts leads to both nodes, always in the same order.
func (p *pair) hosts(role, wanted string) string {
	return testenv.MultiHostURL(p.nodes[0].URL(role), p.nodes[1].URL(role)) + "&target_session_attrs=" + wanted
}

// newPairWorker makes a worker with a primary and a standby of its own.
func newPairWorker(t *testing.T, replicators int) *worker {
	t.Helper()
	// Little WAL is kept, because each history with a fork copies a node.
	small := []testenv.Option{testenv.Set("wal_keep_size", "64MB"), testenv.Set("max_wal_size", "64MB")}
	p := &pair{}
	p.nodes[0] = testenv.StartPostgres(t, small...)
	p.present.Store(p.nodes[0])
	p.nodes[1] = p.nodes[0].StartStandby(t, small...)
	for i, node := range p.nodes {
		p.ways[i] = testenv.StartProxy(t, node.Addr())
	}
	p.front = testenv.StartProxy(t, p.nodes[0].Addr())
	w := &worker{system: newSystem(t, p), pair: p}
	t.Cleanup(func() {
		for _, conn := range w.conns {
			conn.Close(w.ctx)
		}
	})
	w.prepare("oracle", 1)
	primaries := testenv.MultiHostURL(p.ways[0].URL(p.nodes[0].URL("replicator")), p.ways[1].URL(p.nodes[1].URL("replicator")))
	for range replicators {
		w.replicators = append(w.replicators, &replicator{Program: w.replicate("PRIMARY_URL=" + primaries)})
	}
	w.readers = w.startReaders(2, []string{"redis", "redis", "standby", "primary", ""}, "PRIMARY_URL="+p.hosts("query", "read-write"),
		"STANDBY_URL="+p.hosts("query", "prefer-standby"), "REPLICA_URL="+p.nodes[1].URL("query"))
	w.clients = w.startClients(2, p.front.URL(p.nodes[0].URL("command")))
	return w
}

// reconnect connects the sessions of the history to the present primary.
func (w *worker) reconnect() {
	w.t.Helper()
	w.db, w.other = w.dial(w.pair.nodes[w.pair.primary]), w.dial(w.pair.nodes[w.pair.primary])
}

// dial connects to a node. The connection ends with the worker.
func (w *worker) dial(node *testenv.Postgres) *pgx.Conn {
	w.t.Helper()
	conn, err := pgx.Connect(w.ctx, node.URL("postgres"))
	w.must(err)
	w.conns = append(w.conns, conn)
	return conn
}

// pairFaults are faults of the two nodes and of the network between them and the replicators.
var pairFaults = []event{
	{"pause the replay", func(h *history) {
		// A standby whose replay is paused does not connect again, so commits would wait for it until the end of the
		// pause.
		if h.pair.alone || h.pair.frozen || h.pair.paused || h.pair.synchronous {
			return
		}
		standby := h.pair.standby()
		standby.PauseReplay(h.t)
		h.pair.paused = true
		h.after(2+h.random.IntN(6), "resume the replay", func() { standby.ResumeReplay(h.t); h.pair.paused = false })
	}},
	{"a commit waits for the standby", (*history).waitingCommit},
	{"commits wait for the standby for a while", func(h *history) {
		if h.pair.synchronous || h.pair.frozen || h.pair.alone || h.pair.paused {
			return
		}
		primary := h.pair.nodes[h.pair.primary]
		primary.SetSynchronous(h.t, testenv.StandbyName)
		h.pair.synchronous = true
		h.after(3+h.random.IntN(6), "commits do not wait", func() { primary.SetSynchronous(h.t, ""); h.pair.synchronous = false })
	}},
	{"freeze the standby", func(h *history) {
		if h.pair.synchronous || h.pair.frozen || h.pair.alone || h.pair.paused {
			return
		}
		standby := h.pair.standby()
		standby.Pause(h.t)
		h.pair.frozen = true
		h.after(1+h.random.IntN(4), "thaw the standby", func() { standby.Resume(h.t); h.pair.frozen = false })
	}},
	{"freeze the primary", func(h *history) {
		primary := h.pair.nodes[h.pair.primary]
		primary.Pause(h.t)
		rest(h.random, 300)
		primary.Resume(h.t)
	}},
	{"cut the replicators off", func(h *history) {
		way := h.pair.ways[h.pair.primary]
		way.BlackHole(true)
		h.after(1+h.random.IntN(5), "the replicators reach the primary", func() { way.BlackHole(false) })
	}},
	{"kill the primary and start it again", func(h *history) {
		primary := h.pair.nodes[h.pair.primary]
		primary.Kill(h.t)
		primary.Start(h.t)
		h.reconnect()
		h.oracle.present().db = h.dial(primary)
	}},
	{"kill the standby and start it again", func(h *history) {
		if h.pair.frozen || h.pair.alone {
			return
		}
		h.pair.standby().Kill(h.t)
		h.pair.standby().Start(h.t)
	}},
}

// waitingCommit makes a commit that is flushed but not visible until the standby confirms it.
func (h *history) waitingCommit() {
	if h.pair.synchronous || h.pair.frozen || h.pair.alone || h.pair.paused {
		return
	}
	primary, standby := h.pair.nodes[h.pair.primary], h.pair.standby()
	primary.SetSynchronous(h.t, testenv.StandbyName)
	standby.Pause(h.t)
	done := make(chan error, 1)
	go func() {
		_, err := h.other.Exec(h.ctx, insertFew, 5)
		done <- err
	}()
	<-time.After(time.Duration(50+h.random.IntN(150)) * time.Millisecond)
	select {
	case err := <-done:
		h.t.Errorf("a commit did not wait for the frozen standby: %v", err)
		done <- nil
	default:
	}
	standby.Resume(h.t)
	h.must(<-done)
	primary.SetSynchronous(h.t, "")
}
