package bidbook

import (
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bracket"
)

// pageAfter returns the first member of a sorted set in the direction of reading, which is the sentinel of one
// that is whole, and up to ARGV[4] members after a keyset: score
// ARGV[2] and the member prefix ARGV[3], which need not be in the set any more. ARGV[1] is 'REV' to
// read downwards. Many members may share a score (a price), so the place among them is found by
// halving. Prefixes are compared as numbers: Lua compares strings by the locale, Redis by bytes.
const pageAfter = `
local key, rev, score, n = KEYS[1], ARGV[1] == 'REV', ARGV[2], tonumber(ARGV[4])
local cursor = {struct.unpack('>I4I4I4I4', ARGV[3])}
local function compare(member)
  local word = {struct.unpack('>I4I4I4I4', member)}
  for i = 1, 4 do
    if word[i] ~= cursor[i] then return word[i] - cursor[i] end
  end
  return 0
end
local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
local high = low + redis.call('ZCOUNT', key, score, score)
while low < high do
  local mid = math.floor((low + high) / 2)
  local c = compare(redis.call('ZRANGE', key, mid, mid)[1])
  if c < 0 or (c == 0 and not rev) then low = mid + 1 else high = mid end
end
if rev then
  local from = redis.call('ZCARD', key) - low
  return {redis.call('ZRANGE', key, -1, -1), redis.call('ZRANGE', key, from, from + n - 1, 'REV')}
end
return {redis.call('ZRANGE', key, 0, 0), redis.call('ZRANGE', key, low, low + n - 1)}
`

// direction is how a sorted set is read: by falling time, or by rising negative price.
type direction bool

const (
	forwards  direction = false
	backwards direction = true
)

// writePage asks for n members of a sorted set after a keyset (nil: from the start, the sentinel not counted).
func writePage(ask *request, key string, d direction, after *Keyset, n int) {
	ask.Rows(n)
	if after == nil {
		if d == backwards {
			ask.Begin(5)
		} else {
			ask.Begin(4)
		}
		ask.Arg("ZRANGE")
		ask.Arg(key)
		ask.Arg("0")
		ask.Number(int64(n)) // and the sentinel
		if d == backwards {
			ask.Arg("REV")
		}
		return
	}
	word, score := "FWD", -int64(after.Price)
	if d == backwards {
		word, score = "REV", after.At
	}
	var prefix [readmodel.PrefixLen]byte
	ask.Begin(8)
	ask.Arg("EVAL_RO")
	ask.Arg(pageAfter)
	ask.Arg("1")
	ask.Arg(key)
	ask.Arg(word)
	ask.Number(score)
	ask.Arg(string(readmodel.AppendPrefix(prefix[:0], after.At, after.ID)))
	ask.Number(int64(n))
}

// readPage reads the beginning of such a page: how many members follow, and whether the set is whole. Of one
// that is not, nothing may be read, and n is 0 only if it isn't there.
func readPage(from *bracket.Replies, after *Keyset) (n int, whole bool) {
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

func isSentinel(from *bracket.Replies) bool { return string(from.Bytes()) == readmodel.Sentinel }

// readFlags reads an array of n integers, which are 0 or 1.
func readFlags(from *bracket.Replies, n int) []bool {
	flags := make([]bool, n)
	for i := range min(n, from.Len()) {
		flags[i] = from.Int() == 1
	}
	return flags
}
