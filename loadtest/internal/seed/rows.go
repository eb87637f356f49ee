package seed

import (
	"encoding/binary"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
)

func (l *loader) user(buf []byte, u dataset.User) []byte {
	buf = fields(buf, 4)
	buf = int8Field(buf, u.ID)
	buf = textField(buf, u.Login)
	buf = textField(buf, u.PasswordHash)
	return textField(buf, u.Role)
}

func (l *loader) product(buf []byte, p dataset.Product) []byte {
	buf = fields(buf, 8)
	buf = int8Field(buf, p.ID)
	buf = textField(buf, p.Name)
	buf = textField(buf, p.Model)
	buf = textField(buf, p.Color)
	buf = textField(buf, p.Category)
	buf = textField(buf, p.ImageURL)
	buf = int4Field(buf, p.ReleasePrice)
	return dateField(buf, l.at.Add(p.Released))
}

func (l *loader) raffle(buf []byte, r dataset.Raffle) []byte {
	buf = fields(buf, 7)
	buf = int8Field(buf, r.ID)
	buf = int8Field(buf, r.ProductID)
	buf = int8Field(buf, r.SellerID)
	buf = timeField(buf, l.at.Add(r.Starts))
	buf = timeField(buf, l.at.Add(r.Ends))
	if r.Closed {
		buf = timeField(buf, l.at.Add(r.Ends))
	} else {
		buf = nullField(buf)
	}
	if r.ClosingPrice == 0 {
		return nullField(buf)
	}
	return int4Field(buf, r.ClosingPrice)
}

func (l *loader) bid(buf []byte, b dataset.Bid) []byte {
	buf = fields(buf, 7)
	buf = int8Field(buf, b.RaffleID)
	buf = int8Field(buf, b.ID)
	buf = int8Field(buf, b.UserID)
	buf = int2Field(buf, b.Size)
	buf = int4Field(buf, b.Price)
	buf = int4Field(buf, b.Quantity)
	return timeField(buf, l.at.Add(b.CreatedAt))
}

func fields(buf []byte, n uint16) []byte { return binary.BigEndian.AppendUint16(buf, n) }

func nullField(buf []byte) []byte { return binary.BigEndian.AppendUint32(buf, 0xffffffff) } // length -1

func int2Field(buf []byte, v int16) []byte {
	return binary.BigEndian.AppendUint16(append(buf, 0, 0, 0, 2), uint16(v))
}

func int4Field(buf []byte, v int32) []byte {
	return binary.BigEndian.AppendUint32(append(buf, 0, 0, 0, 4), uint32(v))
}

func int8Field(buf []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(append(buf, 0, 0, 0, 8), uint64(v))
}

func textField(buf []byte, v string) []byte {
	return append(binary.BigEndian.AppendUint32(buf, uint32(len(v))), v...)
}

// postgresEpoch is 2000-01-01 00:00:00 UTC, the zero of dates and times in PostgreSQL.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// timeField is a timestamptz: microseconds since the epoch.
func timeField(buf []byte, v time.Time) []byte {
	return int8Field(buf, v.UnixMicro()-postgresEpoch.UnixMicro())
}

// dateField is a date: days since the epoch, of the day in UTC.
func dateField(buf []byte, v time.Time) []byte {
	day := v.UTC().Truncate(24 * time.Hour)
	return int4Field(buf, int32(day.Sub(postgresEpoch)/(24*time.Hour)))
}
