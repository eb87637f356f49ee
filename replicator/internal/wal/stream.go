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
)

// Stream is the replication connection. One goroutine receives; status updates may come from others.
// No deadline is ever set while it streams, since pgconn can't be read and written with deadlines from
// two goroutines: whoever wants to stop the receiver closes the stream.
type Stream struct {
	conn    *pgconn.PgConn
	network *gatherer
	writing sync.Mutex
	closing sync.Once
}

// System is what the server says about itself.
type System struct {
	ID       uint64
	Timeline uint32
	Flushed  LSN
}

// readBuffer is the size of one read: the walsender writes message by message.
const readBuffer = 64 << 10

// Stream opens a replication connection.
func (s Server) Stream(ctx context.Context, params map[string]string) (*Stream, error) {
	config := s.config.Config.Copy()
	for name, value := range map[string]string{
		"application_name": "replicator", "replication": "database",
		// A walsender of a stopped or lost replicator frees the slot within this time.
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
	if stream.conn, err = pgconn.ConnectConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("replication connection to %s: %w", s, err)
	}
	return stream, nil
}

// PID is the process id of the walsender.
func (s *Stream) PID() uint32 { return s.conn.PID() }

// Waiting is how long the receiver has been waiting for the server to send anything; 0 while it is at work.
func (s *Stream) Waiting() time.Duration { return s.network.waiting(time.Now()) }

// Identify asks which system and timeline this is and how far its log is flushed.
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

// Start begins to stream what was committed after a position. Servers older than 14 know neither
// binary nor messages; the second is needed.
func (s *Stream) Start(ctx context.Context, slot string, from LSN) error {
	// A slot that much WAL has to be read for takes long to begin, but not before the server has answered.
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

// Status tells the server that everything up to a position is durable here. All three positions are
// set: the library replaces a zero by another one. With the written position behind, the server also
// sends a keepalive by itself before it sleeps.
func (s *Stream) Status(durable LSN, reply bool) error {
	p := pglogrepl.LSN(durable)
	s.writing.Lock()
	defer s.writing.Unlock()
	// The context is unused by the library.
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
	// Without a deadline or cancellation: those cost allocations per message.
	raw, err := s.conn.ReceiveMessage(context.Background())
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

// Close ends the connection at once; a receiver gets an error.
func (s *Stream) Close() {
	s.closing.Do(func() {
		// The error says that the connection is gone already, which is what is wanted.
		_ = s.conn.Conn().Close()
	})
}
