package opspage

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Event is something that happened, in words. An event that repeats the one before it is counted there.
type Event struct {
	ID    int64  `json:"id"` // rises
	At    int64  `json:"at"` // the last time, in milliseconds since the Unix epoch
	Level Level  `json:"level"`
	Text  string `json:"text"`
	Count int    `json:"count"`
}

// Kind is a kind of event. sentences has the words for each.
type Kind string

// The kinds of events.
const (
	Started       Kind = "started"
	Waits         Kind = "waits"
	Follows       Kind = "follows"
	Rebuilds      Kind = "rebuilds"
	Rebuilt       Kind = "rebuilt"
	Failed        Kind = "failed"
	OtherState    Kind = "other_state"
	Pauses        Kind = "pauses"
	Lags          Kind = "lags"
	CaughtUp      Kind = "caught_up"
	HeldBack      Kind = "held_back"
	LetGo         Kind = "let_go"
	Diverges      Kind = "diverges"
	Mended        Kind = "mended"
	PartLost      Kind = "part_lost"
	PartReloaded  Kind = "part_reloaded"
	PartRetried   Kind = "part_retried"
	RowPoisoned   Kind = "row_poisoned"
	Asks          Kind = "asks"
	Answered      Kind = "answered"
	NodeAppears   Kind = "node_appears"
	NodeGone      Kind = "node_gone"
	NodeBack      Kind = "node_back"
	NodeChanges   Kind = "node_changes"
	PathSpared    Kind = "path_spared"
	PathBack      Kind = "path_back"
	PrimaryLost   Kind = "primary_lost"
	PrimaryFound  Kind = "primary_found"
	PeerSilent    Kind = "peer_silent"
	PeerHeard     Kind = "peer_heard"
	PeerUnreached Kind = "peer_unreached"
)

// sentence is how a kind is told. format takes the arguments of Tell.
type sentence struct {
	level  Level
	format string
}

// sentences is the one table from kinds to words.
var sentences = map[Kind]sentence{
	Started:       {Good, "This %s was started."},
	Waits:         {Good, "Another replicator works. This one waits to take over."},
	Follows:       {Good, "Following the primary from %s, epoch %d."},
	Rebuilds:      {Doubt, "%s Rebuilding; %s."},
	Rebuilt:       {Good, "Rebuilt: epoch %d with %s rows after %s. Redis serves reads."},
	Failed:        {Bad, "%s It is tried again."},
	OtherState:    {Doubt, "The replicator is %s."},
	Pauses:        {Doubt, "An operator has paused the replicator. Nothing is applied until it is resumed; the slot holds WAL back."},
	Lags:          {Doubt, "Redis is %s behind the primary."},
	CaughtUp:      {Good, "Redis has caught up with the primary."},
	HeldBack:      {Doubt, "The synchronous standby does not confirm. What is newer is held back from Redis."},
	LetGo:         {Good, "The synchronous standby confirms again."},
	Diverges:      {Bad, "Keys that differ from the primary: %d. The first is %s. Their parts are loaded anew; SQL serves these meanwhile."},
	Mended:        {Good, "Compared again: no key differs from the primary."},
	PartLost:      {Doubt, "A key of %s was lost from Redis. It is loaded anew; SQL serves it meanwhile."},
	PartReloaded:  {Good, "Loaded anew: %s. Redis serves it."},
	PartRetried:   {Doubt, "Loading %s anew was given up. It is tried again."},
	RowPoisoned:   {Bad, "A row of %s does not fit the read model. SQL serves %s until the row is put right."},
	Asks:          {Good, "An operator asked for %s."},
	Answered:      {Good, "The comparison that an operator asked for: %s"},
	NodeAppears:   {Good, "%s is the %s, on timeline %d."},
	NodeGone:      {Bad, "%s, the %s, does not answer."},
	NodeBack:      {Good, "%s answers again, as the %s on timeline %d."},
	NodeChanges:   {Doubt, "%s was the %s. It is now the %s, on timeline %d."},
	PathSpared:    {Doubt, "The path %s fails. Reads take the next path."},
	PathBack:      {Good, "The path %s answers again."},
	PrimaryLost:   {Bad, "The primary %s does not answer. Reads go on."},
	PrimaryFound:  {Good, "The primary is %s, on timeline %d."},
	PeerSilent:    {Bad, "The %s %s has said nothing for %d s."},
	PeerHeard:     {Good, "The %s %s is heard again."},
	PeerUnreached: {Doubt, "Nothing was heard of %s since the start."},
}

// keptEvents bounds the events that are kept.
const keptEvents = 60

// log keeps the last events.
type log struct {
	mu   sync.Mutex
	last int64 // id
	kept []Event
}

// tell adds an event. An unknown kind is a fault of the program, and told as such.
func (l *log) tell(now time.Time, kind Kind, args ...any) {
	s, known := sentences[kind]
	if !known {
		s = sentence{Bad, "An event without words: " + string(kind) + "."}
		args = nil
	}
	e := Event{At: now.UnixMilli(), Level: s.level, Text: fmt.Sprintf(s.format, args...), Count: 1}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.kept); n > 0 && l.kept[n-1].Text == e.Text {
		l.kept[n-1].At = e.At
		l.kept[n-1].Count++
		return
	}
	l.last++
	e.ID = l.last
	if l.kept = append(l.kept, e); len(l.kept) > keptEvents {
		l.kept = slices.Delete(l.kept, 0, 1)
	}
}

// all returns the kept events, oldest first.
func (l *log) all() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kept)
}
