package api

import "time"

// digits holds 00 to 99, so that numbers are written two digits at a time, which halves the divisions. strconv and
// time.Format took half of the time of a page's encoding.
const digits = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

// appendNumber appends a number that is not negative.
func appendNumber(dst []byte, v int64) []byte {
	if v < 100 {
		if v < 10 {
			return append(dst, '0'+byte(v))
		}
		return append(dst, digits[2*v], digits[2*v+1])
	}
	var text [20]byte
	at := len(text)
	u := uint64(v)
	for u >= 100 {
		pair := u % 100 * 2
		u /= 100
		at -= 2
		text[at], text[at+1] = digits[pair], digits[pair+1]
	}
	if u >= 10 {
		at -= 2
		text[at], text[at+1] = digits[2*u], digits[2*u+1]
	} else {
		at--
		text[at] = '0' + byte(u)
	}
	return append(dst, text[at:]...)
}

const (
	microsPerDay = 24 * 60 * 60 * 1_000_000
	lastMicro    = 253_402_300_799_999_999 // of the year 9999
)

// clock writes times. It remembers the date that it wrote last, because most rows of a page have the same one.
type clock struct {
	day  int64 // since 1970, plus one; 0: none yet
	date [len("2006-01-02T")]byte
}

// append appends a key and microseconds since the Unix epoch as a JSON string: RFC 3339 in UTC with exactly
// six decimals.
func (c *clock) append(dst []byte, key string, micros int64) []byte {
	dst = append(dst, key...)
	if micros < 0 || micros > lastMicro {
		return time.UnixMicro(micros).UTC().AppendFormat(dst, `"2006-01-02T15:04:05.000000Z"`)
	}
	day, rest := micros/microsPerDay, micros%microsPerDay
	if c.day != day+1 {
		time.UnixMicro(micros).UTC().AppendFormat(c.date[:0], "2006-01-02T")
		c.day = day + 1
	}
	seconds := rest / 1_000_000
	hour, minute, second, micro := 2*(seconds/3600), 2*(seconds/60%60), 2*(seconds%60), rest%1_000_000
	a, b, z := 2*(micro/10_000), 2*(micro/100%100), 2*(micro%100)
	dst = append(append(dst, '"'), c.date[:]...)
	return append(dst, digits[hour], digits[hour+1], ':', digits[minute], digits[minute+1], ':', digits[second], digits[second+1], '.',
		digits[a], digits[a+1], digits[b], digits[b+1], digits[z], digits[z+1], 'Z', '"')
}
