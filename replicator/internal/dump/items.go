package dump

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// bid is a bid as the API has it, with its score in a sorted set.
type bid struct {
	ID        int64   `json:"id"`
	RaffleID  int64   `json:"raffle_id"`
	UserID    int64   `json:"user_id"`
	Size      int16   `json:"size"`
	Price     int32   `json:"price"`
	Quantity  int32   `json:"quantity"`
	CreatedAt string  `json:"created_at"`
	Score     float64 `json:"score,omitempty"`
}

func (b *bid) setScore(score float64) { b.Score = score }

func bidOf(b readmodel.Bid, err error) (any, error) {
	return &bid{b.ID, b.RaffleID, b.UserID, b.Size, b.Price, b.Quantity, at(b.CreatedAt), 0}, err
}

// at is a time in microseconds since the Unix epoch as the API has it; "" for 0.
func at(micros int64) string {
	if micros == 0 {
		return ""
	}
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000000Z07:00")
}

// raffle is a raffle's entry, with its score in the list of all raffles.
type raffle struct {
	ID           int64   `json:"id"`
	ProductID    int64   `json:"product_id"`
	SellerID     int64   `json:"seller_id"`
	StartsAt     string  `json:"starts_at"`
	EndsAt       string  `json:"ends_at"`
	ClosedAt     string  `json:"closed_at,omitempty"`
	ClosingPrice int32   `json:"closing_price,omitempty"`
	Score        float64 `json:"score,omitempty"`
}

func (r *raffle) setScore(score float64) { r.Score = score }

func raffleOf(r readmodel.Raffle, err error) (any, error) {
	return &raffle{r.ID, r.ProductID, r.SellerID, at(r.StartsAt), at(r.EndsAt), at(r.ClosedAt), r.ClosingPrice, 0}, err
}

func product(field, value string) (any, error) {
	if field == readmodel.Sentinel || field == readmodel.Loading {
		return sentinel{Sentinel: field}, nil
	}
	p, err := readmodel.ParseProduct([]byte(value))
	return struct {
		ID           int64  `json:"id"`
		Name         string `json:"name"`
		Model        string `json:"model"`
		Color        string `json:"color"`
		Category     string `json:"category"`
		ImageURL     string `json:"image_url"`
		ReleaseDate  string `json:"release_date"`
		ReleasePrice int32  `json:"release_price"`
	}{p.ID, p.Name, p.Model, p.Color, p.Category, p.ImageURL, p.ReleaseDate, p.ReleasePrice}, err
}

// eventNames are the kinds of events as the live feed names them.
var eventNames = map[readmodel.EventKind]string{readmodel.EventBid: "bid", readmodel.EventCancel: "cancel", readmodel.EventClose: "close", readmodel.EventReset: "reset"}

func eventOf(e readmodel.Event) any {
	v := struct {
		EventID      string `json:"event_id"`
		LSN          string `json:"lsn"` // of the commit record
		Event        string `json:"event"`
		Bid          any    `json:"bid,omitempty"`
		ClosedAt     string `json:"closed_at,omitempty"`
		ClosingPrice int32  `json:"closing_price,omitempty"`
		Packed       string `json:"packed,omitempty"` // of an unknown kind, in hexadecimal
	}{EventID: e.ID.String(), LSN: e.ID.LSN.String(), Event: eventNames[e.Kind], ClosedAt: at(e.ClosedAt), ClosingPrice: e.ClosingPrice, Packed: fmt.Sprintf("%x", e.Packed)}
	if v.Event == "" {
		v.Event = "unknown: " + strconv.Quote(string(rune(e.Kind)))
	}
	if e.Kind == readmodel.EventBid || e.Kind == readmodel.EventCancel {
		v.Bid, _ = bidOf(e.Bid, nil)
	}
	return v
}

// size is a member of a set of sizes. The other members say that the set, or the raffle, is whole or being loaded.
func size(member string) (any, error) {
	if member == readmodel.RaffleKnown || member == readmodel.Loading {
		return sentinel{Sentinel: member}, nil
	}
	n, err := strconv.ParseInt(member, 10, 16)
	return struct {
		Size int64 `json:"size"`
	}{n}, err
}

func floor(value string) (any, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	return struct {
		Floor int64  `json:"floor"`        // microseconds since the Unix epoch; 0: no bid was dropped
		At    string `json:"at,omitempty"` // the same
	}{n, at(n)}, err
}

func version(value string) (any, error) {
	return struct {
		Version string `json:"version"`
	}{value}, nil
}

func part(name string) (any, error) {
	return struct {
		Part string `json:"part"`
	}{name}, nil
}

func reloaded(field, value string) (any, error) {
	at, err := lsn.Parse(value)
	return struct {
		Part string `json:"part"`
		LSN  string `json:"lsn"`
	}{field, at.String()}, err
}

func evictions(value string) (any, error) {
	run, count, ok := strings.Cut(value, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if !ok || err != nil {
		return nil, readmodel.ErrCorrupt
	}
	return struct {
		RunID string `json:"run_id"`
		Keys  int64  `json:"evicted_keys"`
	}{run, n}, nil
}

func pause(value string) (any, error) {
	p, err := readmodel.ParsePause(value)
	return struct {
		Since  string `json:"since"`
		Taken  string `json:"taken,omitempty"` // the token of the session that has stopped
		Reason string `json:"reason,omitempty"`
	}{at(p.Since), p.Taken, p.Reason}, err
}

// pipeline is a name; "-" stands for the unnamed pipeline.
func pipeline(value string) (any, error) {
	return struct {
		Pipeline string `json:"pipeline"`
	}{value}, nil
}

// mark is the mark of a rebuild under way.
func mark(value string) (any, error) {
	v := struct {
		Epoch  uint64 `json:"epoch"`
		Token  string `json:"token"`
		Writes int64  `json:"writes"`
	}{}
	if n, err := fmt.Sscanf(value, "%d %s %d", &v.Epoch, &v.Token, &v.Writes); err != nil || n != 3 {
		return nil, readmodel.ErrCorrupt
	}
	return v, nil
}

// checkpoint is the checkpoint. Numbers that JavaScript would round are strings.
func checkpoint(value string) (any, error) {
	c, err := readmodel.ParseCheckpoint(value)
	return struct {
		SystemID    string `json:"system_id"`
		Position    string `json:"position"`
		Timeline    uint32 `json:"timeline"`
		LSN         string `json:"lsn"`
		Slot        string `json:"slot"`
		Epoch       uint64 `json:"epoch"`
		Token       string `json:"token"`
		Applying    bool   `json:"applying"`
		Publication string `json:"publication"`
		Commit      string `json:"commit"`
		CommitAt    string `json:"commit_at,omitempty"`
		Beat        int64  `json:"heartbeat"`
		Nonce       string `json:"heartbeat_nonce"`
		BeatAt      string `json:"heartbeat_at,omitempty"`
		Delay       int64  `json:"heartbeat_delay_ms"`
		Phase       uint64 `json:"phase"`
		Server      string `json:"server_started_at,omitempty"`
		Format      uint64 `json:"format"`
	}{strconv.FormatUint(c.SystemID, 10), c.Position().String(), c.Timeline, c.LSN.String(), c.Slot, uint64(c.Epoch), c.Token, c.Applying,
		c.Publication, c.Commit.String(), at(c.CommitAt), c.Beat.Number, strconv.FormatInt(c.Beat.Nonce, 10), at(c.Beat.At), c.Delay, c.Phase,
		at(c.Server), c.Format}, err
}
