package redisbook

import (
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// direction is the order in which a sorted set is read: backwards by falling time, or forwards by rising negative
// price.
type direction bool

const (
	forwards  direction = false
	backwards direction = true
)

// writePage asks for n members of a sorted set after a keyset (nil: from the start, the sentinel not counted).
func writePage(ask *request, key string, d direction, after *bidbook.Keyset, n int) {
	ask.Rows(n)
	if after == nil {
		if d == backwards {
			ask.Begin(5)
		} else {
			ask.Begin(4)
		}
		ask.String("ZRANGE")
		ask.String(key)
		ask.String("0")
		ask.Int(int64(n)) // up to index n, because index 0 is the sentinel
		if d == backwards {
			ask.String("REV")
		}
		return
	}
	ask.Rows(scriptRows)
	word, score := "FWD", -int64(after.Price)
	if d == backwards {
		word, score = "REV", after.At
	}
	var prefix [readmodel.PrefixLen]byte
	ask.Begin(8)
	ask.String("EVAL_RO")
	ask.String(readmodel.PageAfter)
	ask.String("1")
	ask.String(key)
	ask.String(word)
	ask.Int(score)
	ask.String(string(readmodel.AppendPrefix(prefix[:0], after.At, after.ID)))
	ask.Int(int64(n))
}

// readPage reads the beginning of a page that writePage has asked for: how many members follow, and whether the set
// is whole. If the set is not whole, no member may be read. Then n is 0 only if the set does not exist.
func readPage(from *resp.Replies, after *bidbook.Keyset) (n int, whole bool) {
	if after == nil {
		if n = from.Len(); n == 0 || !isSentinel(from) {
			return n, false
		}
		return n - 1, true
	}
	if parts := from.Len(); parts == 0 {
		return 0, false // an error: the script always answers two
	}
	if n = from.Len(); n == 0 || !isSentinel(from) {
		return n, false
	}
	return from.Len(), true
}

func isSentinel(from *resp.Replies) bool { return string(from.Bytes()) == readmodel.Sentinel }

// readFlags reads an array of n integers, which are 0 or 1.
func readFlags(from *resp.Replies, n int) []bool {
	flags := make([]bool, n)
	for i := range min(n, from.Len()) {
		flags[i] = from.Int() == 1
	}
	return flags
}
