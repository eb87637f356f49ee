// Package reconcile proves that no acknowledged bid was lost or doubled. While a load runs, a journal on
// disk keeps what became of every idempotency key; afterwards it is held against the rows in PostgreSQL
// and against what the read API answers from Redis.
package reconcile

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// State is what a client knows of its bid in the end.
type State uint8

// The states of a key.
const (
	Acknowledged State = 1 + iota // a 201 was received
	Unknown                       // no answer, or one that leaves it open: the bid may be stored
	Refused                       // every answer said that the bid was not taken
	// A bid that was acknowledged may have a second entry: its user has cancelled it, or does not know whether it has.
	Cancelled
	PerhapsCancelled
)

// Entry is what was sent under one key, and what became of it.
type Entry struct {
	Serial              uint32
	State               State
	Retries             uint8 // 255 stands for more
	Size                int16
	Raffle, User, Price uint32
	Quantity            uint16
	ID                  int64 // of the bid; 0 unless acknowledged
	Created             int64 // microseconds since 1970, as answered; 0 unless acknowledged
}

// Answered takes id and time from a 201, by its Location and its body. ok is false if they don't show the bid that was
// sent.
func (e *Entry) Answered(location, body []byte) (ok bool) {
	var b shown
	if json.Unmarshal(body, &b) != nil {
		return false
	}
	got := b.row()
	e.ID, e.Created = b.ID, got.Created
	return b.ID > 0 && got == e.row() && string(location) == fmt.Sprintf("/v1/raffles/%d/bids/%d", e.Raffle, b.ID)
}

// The journal is this magic, the highest id of a bid before the run, the length of the prefix in a byte, the prefix, and
// records of entrySize bytes, little-endian. Records are only ever appended. The last record of a journal that was closed
// has the state closed and the number of entries. A broken record at the end was left by a killed run.
const (
	magic     = "pyramid-journal-2\n"
	entrySize = 38
	closed    = State(255)
	// flushEvery bounds what a killed run loses of its journal.
	flushEvery = time.Second
)

// Journal appends entries to a file. It is safe for concurrent use.
type Journal struct {
	prefix string
	serial atomic.Uint32

	mu      sync.Mutex
	file    *os.File
	out     *bufio.Writer
	flushed time.Time
	entries int64
	err     error
}

// CreateJournal makes the file, which must not exist yet. The prefix, at most 255 bytes, makes the keys of
// this journal different from all others. Bids of the run have ids above after.
func CreateJournal(path, prefix string, after int64) (*Journal, error) {
	if len(prefix) == 0 || len(prefix) > 255 {
		return nil, fmt.Errorf("journal: a prefix of %d bytes", len(prefix))
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{prefix: prefix, file: file, out: bufio.NewWriterSize(file, 256<<10), flushed: time.Now()}
	head := binary.LittleEndian.AppendUint64([]byte(magic), uint64(after))
	_, err = file.Write(append(append(head, byte(len(prefix))), prefix...))
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
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries++
	return j.write(e)
}

func (j *Journal) write(e Entry) error {
	var raw [entrySize]byte
	e.encode(raw[:])
	if j.err == nil {
		_, j.err = j.out.Write(raw[:])
	}
	if now := time.Now(); j.err == nil && now.Sub(j.flushed) > flushEvery {
		j.flushed, j.err = now, j.out.Flush()
	}
	return j.err
}

// Close writes what is buffered, and that this is all.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.write(Entry{State: closed, ID: j.entries}), j.out.Flush(), j.file.Close())
}

func (e Entry) encode(raw []byte) {
	put := binary.LittleEndian
	put.PutUint32(raw[0:], e.Serial)
	raw[4], raw[5] = byte(e.State), e.Retries
	put.PutUint16(raw[6:], uint16(e.Size))
	put.PutUint32(raw[8:], e.Raffle)
	put.PutUint32(raw[12:], e.User)
	put.PutUint32(raw[16:], e.Price)
	put.PutUint16(raw[20:], e.Quantity)
	put.PutUint64(raw[22:], uint64(e.ID))
	put.PutUint64(raw[30:], uint64(e.Created))
}

func decode(raw []byte) Entry {
	get := binary.LittleEndian
	return Entry{Serial: get.Uint32(raw[0:]), State: State(raw[4]), Retries: raw[5], Size: int16(get.Uint16(raw[6:])),
		Raffle: get.Uint32(raw[8:]), User: get.Uint32(raw[12:]), Price: get.Uint32(raw[16:]), Quantity: get.Uint16(raw[20:]),
		ID: int64(get.Uint64(raw[22:])), Created: int64(get.Uint64(raw[30:]))}
}

// head is what a journal begins with.
type head struct {
	after  int64
	prefix string
}

func readHead(in io.Reader) (h head, err error) {
	fixed := make([]byte, len(magic)+8+1)
	if _, err := io.ReadFull(in, fixed); err != nil || string(fixed[:len(magic)]) != magic {
		return h, errors.Join(errors.New("not a journal"), err)
	}
	name := make([]byte, fixed[len(fixed)-1])
	_, err = io.ReadFull(in, name)
	return head{int64(binary.LittleEndian.Uint64(fixed[len(magic):])), string(name)}, err
}

// readJournal calls each for every whole entry. complete says whether the journal was closed and holds as many entries as
// its last record says.
func readJournal(path string, each func(Entry)) (h head, complete bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return h, false, fmt.Errorf("journal: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	in := bufio.NewReaderSize(file, 256<<10)
	if h, err = readHead(in); err != nil {
		return h, false, fmt.Errorf("journal %s: %w", path, err)
	}
	entries := int64(0)
	for raw := make([]byte, entrySize); ; entries++ {
		switch _, err := io.ReadFull(in, raw); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return h, false, nil
		case err != nil:
			return h, false, fmt.Errorf("journal %s: %w", path, err)
		}
		e := decode(raw)
		if e.State == closed {
			return h, e.ID == entries, nil
		}
		each(e)
	}
}
