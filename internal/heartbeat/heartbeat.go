// Package heartbeat holds the heartbeat of the primary: a row and a logical message that the function
// heartbeat() writes every second. A node that shows a heartbeat holds everything that was committed
// before it, and a primary that does not know a heartbeat has lost the commits around it.
package heartbeat

import (
	"fmt"
	"strconv"
	"strings"
)

// MessagePrefix is the prefix of the transactional logical message that carries a Beat.
const MessagePrefix = "pyramid.heartbeat"

// Beat is one heartbeat. Number rises with every heartbeat of a database; Nonce is random, so that after a fork two
// histories have no heartbeat in common, although both count on; At is the primary's clock in microseconds since the
// Unix epoch, for people, because the clock may be wrong. The zero Beat is no heartbeat.
type Beat struct {
	Number int64
	Nonce  int64
	At     int64
}

// String is the content of the logical message: the fields in decimal, separated by commas.
func (b Beat) String() string {
	return strconv.FormatInt(b.Number, 10) + "," + strconv.FormatInt(b.Nonce, 10) + "," + strconv.FormatInt(b.At, 10)
}

// Parse reads what String or heartbeat() wrote, even with further fields at the end.
func Parse(s string) (Beat, error) {
	number, rest, _ := strings.Cut(s, ",")
	nonce, rest, _ := strings.Cut(rest, ",")
	at, _, _ := strings.Cut(rest, ",")
	n, err1 := strconv.ParseInt(number, 10, 64)
	r, err2 := strconv.ParseInt(nonce, 10, 64)
	t, err3 := strconv.ParseInt(at, 10, 64)
	b := Beat{n, r, t}
	if err1 != nil || err2 != nil || err3 != nil || n < 0 {
		return Beat{}, fmt.Errorf("heartbeat %.80q is not number,nonce,time", s)
	}
	return b, nil
}
