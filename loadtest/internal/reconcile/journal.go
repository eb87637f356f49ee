// Package reconcile proves that no acknowledged bid was lost or doubled. While a load runs, a journal on
// disk keeps what became of every idempotency key; afterwards it is held against the rows in PostgreSQL
// and against what the read API answers from Redis.
package reconcile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// State is what a client knows of its bid in the end.
type State uint8

// The states of a key.
const (
	Acknowledged State = 1 + iota // a 201 was received
	Unknown                       // no answer, or one that leaves it open: the bid may be stored
	Refused                       // every answer said that the bid was not taken
)

// Entry is what became of one key.
type Entry struct {
	Serial  uint32
	Raffle  uint32
	ID      int64 // of the bid; 0 unless acknowledged
	Size    int16
	State   State
	Retries uint8 // 255 stands for more
}

// The journal is this magic, the length of the prefix in a byte, the prefix, and records of entrySize bytes,
// little-endian. Records are only ever appended. A broken record at the end was left by a killed run.
const (
	magic     = "pyramid-journal-1\n"
	entrySize = 20
)

// Journal appends entries to a file. It is safe for concurrent use.
type Journal struct {
	prefix string
	serial atomic.Uint32

	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer
	err  error
}

// CreateJournal makes the file, which must not exist yet. The prefix, at most 255 bytes, makes the keys of
// this journal different from all others.
func CreateJournal(path, prefix string) (*Journal, error) {
	if len(prefix) == 0 || len(prefix) > 255 {
		return nil, fmt.Errorf("journal: a prefix of %d bytes", len(prefix))
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{prefix: prefix, file: file, out: bufio.NewWriterSize(file, 256<<10)}
	_, err = j.out.WriteString(magic + string(byte(len(prefix))) + prefix)
	return j, err
}

// Next returns a serial number that was not used before.
func (j *Journal) Next() uint32 { return j.serial.Add(1) - 1 }

// AppendKey appends the idempotency key of a serial number.
func (j *Journal) AppendKey(dst []byte, serial uint32) []byte {
	return strconv.AppendUint(append(append(dst, j.prefix...), '-'), uint64(serial), 10)
}

// Add writes an entry. An error stays: the journal is of no use after it.
func (j *Journal) Add(e Entry) error {
	var raw [entrySize]byte
	binary.LittleEndian.PutUint32(raw[0:], e.Serial)
	binary.LittleEndian.PutUint32(raw[4:], e.Raffle)
	binary.LittleEndian.PutUint64(raw[8:], uint64(e.ID))
	binary.LittleEndian.PutUint16(raw[16:], uint16(e.Size))
	raw[18], raw[19] = byte(e.State), e.Retries
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		_, j.err = j.out.Write(raw[:])
	}
	return j.err
}

// Close writes what is buffered.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.err, j.out.Flush(), j.file.Close())
}

// readJournal calls each for every whole entry.
func readJournal(path string, each func(Entry)) (prefix string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("journal: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	in := bufio.NewReaderSize(file, 256<<10)
	head := make([]byte, len(magic)+1)
	if _, err := io.ReadFull(in, head); err != nil || string(head[:len(magic)]) != magic {
		return "", fmt.Errorf("journal %s: not a journal (%w)", path, errors.Join(err))
	}
	name := make([]byte, head[len(magic)])
	if _, err := io.ReadFull(in, name); err != nil {
		return "", fmt.Errorf("journal %s: %w", path, err)
	}
	for raw := make([]byte, entrySize); ; {
		switch _, err := io.ReadFull(in, raw); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return string(name), nil
		case err != nil:
			return "", fmt.Errorf("journal %s: %w", path, err)
		}
		each(Entry{
			Serial: binary.LittleEndian.Uint32(raw[0:]), Raffle: binary.LittleEndian.Uint32(raw[4:]),
			ID: int64(binary.LittleEndian.Uint64(raw[8:])), Size: int16(binary.LittleEndian.Uint16(raw[16:])),
			State: State(raw[18]), Retries: raw[19],
		})
	}
}
