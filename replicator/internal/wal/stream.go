package wal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// Stream is the replication connection. One goroutine receives; others may send status updates. While it streams it has
// no deadlines, because pgconn can't be read and written with deadlines by two goroutines. To stop the receiver, close
// the stream.
type Stream struct {
	conn    *pgconn.PgConn
	network *gatherer
	writing sync.Mutex
	closing sync.Once
}

// System is the server's own answer about what it is.
type System struct {
	ID       uint64
	Timeline uint32
	Flushed  LSN
}

// readBuffer is the size of one read. The walsender writes message by message, so one read can bring many.
const readBuffer = 64 << 10

// Stream opens a replication connection.
func (s Server) Stream(ctx context.Context, params map[string]string) (*Stream, error) {
	config := s.config.Config.Copy()
	for name, value := range map[string]string{
		"application_name": "replicator", "replication": "database",
		// The walsender of a stopped or lost replicator frees the slot within this time.
		"wal_sender_timeout": "5s",
		"DateStyle":          "ISO", "TimeZone": "UTC",
	} {
		config.RuntimeParams[name] = value
	}
	maps.Copy(config.RuntimeParams, params)
	stream := &Stream{}
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		stream.network = &gatherer{from: r}
		return pgproto3.NewFrontend(bufio.NewReaderSize(stream.network, readBuffer), w)
	}
	var err error
	pg.Refresh(config)
	if stream.conn, err = pgconn.ConnectConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("replication connection to %s: %w", s, err)
	}
	return stream, nil
}

// PID is the process id of the walsender.
func (s *Stream) PID() uint32 { return s.conn.PID() }

// Waiting is how long the receiver has been waiting for the server to send anything; 0 while it handles messages.
func (s *Stream) Waiting() time.Duration { return s.network.waiting(time.Now()) }

// Identify asks which system and timeline the server has, and up to where its log is flushed.
func (s *Stream) Identify(ctx context.Context) (System, error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	r, err := pglogrepl.IdentifySystem(ctx, s.conn)
	if err != nil {
		return System{}, fmt.Errorf("identify system: %w", err)
	}
	var id uint64
	if _, err := fmt.Sscan(r.SystemID, &id); err != nil {
		return System{}, fmt.Errorf("system id %q: %w", r.SystemID, err)
	}
	return System{ID: id, Timeline: uint32(r.Timeline), Flushed: LSN(r.XLogPos)}, nil
}

// Start begins to stream what was committed after a position. Servers before 14 know neither of the options binary and
// messages, and messages is needed.
func (s *Stream) Start(ctx context.Context, slot string, from LSN) error {
	// If the slot must read much WAL, the first row comes late, but the server answers this command before.
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	if err := s.exec(ctx, "SET lock_timeout = 0"); err != nil {
		return err
	}
	err := pglogrepl.StartReplication(ctx, s.conn, slot, pglogrepl.LSN(from), pglogrepl.StartReplicationOptions{
		Mode: pglogrepl.LogicalReplication,
		PluginArgs: []string{
			"proto_version '1'", "publication_names '" + Publication + "'", "messages 'true'", "binary 'true'",
		},
	})
	if err != nil {
		return fmt.Errorf("start replication of slot %s at %s: %w", slot, from, err)
	}
	return nil
}

// Status tells the server that everything up to a position is durable here. It sets all three positions, because the
// library replaces a zero by another one. If the written position is behind, the server sends a keepalive before it
// sleeps, even without a request.
func (s *Stream) Status(durable LSN, reply bool) error {
	p := pglogrepl.LSN(durable)
	s.writing.Lock()
	defer s.writing.Unlock()
	// The library does not use the context.
	err := pglogrepl.SendStandbyStatusUpdate(context.Background(), s.conn, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: p, WALFlushPosition: p, WALApplyPosition: p, ClientTime: time.Now(), ReplyRequested: reply,
	})
	if err != nil {
		return fmt.Errorf("status update: %w", err)
	}
	return nil
}

// received is either data (valid until the next receive) or the position of a keepalive.
type received struct {
	data      []byte
	keepalive LSN
}

func (s *Stream) receive() (received, error) {
	// PgConn.ReceiveMessage would, after an error, write in a goroutine of its own, beside a status update.
	raw, err := s.conn.Frontend().Receive()
	if err != nil {
		return received{}, fmt.Errorf("replication stream: %w", err)
	}
	switch m := raw.(type) {
	case *pgproto3.CopyData:
		return parseCopyData(m.Data)
	case *pgproto3.ErrorResponse:
		return received{}, fmt.Errorf("replication stream: %w", pgconn.ErrorResponseToPgError(m))
	case *pgproto3.CopyDone:
		return received{}, errors.New("replication stream: the server ended it")
	}
	return received{}, nil
}

func parseCopyData(b []byte) (received, error) {
	c := cursor{rest: b}
	switch c.byte() {
	case pglogrepl.XLogDataByteID:
		c.take(3 * 8)
		if !c.bad && len(c.rest) > 0 {
			return received{data: c.rest}, nil
		}
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		end := LSN(c.uint64())
		if !c.bad {
			return received{keepalive: end}, nil
		}
	}
	return received{}, fmt.Errorf("%w: replication message of %d bytes", ErrDecode, len(b))
}

// Close ends the connection at once. A receiver gets an error.
func (s *Stream) Close() {
	s.closing.Do(func() {
		// An error means that the connection is gone already.
		_ = s.conn.Conn().Close()
	})
}
