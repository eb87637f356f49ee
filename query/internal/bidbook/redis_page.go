package bidbook

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// pageAfter returns the cardinality of a sorted set and up to ARGV[4] members after a keyset: score
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
local card = redis.call('ZCARD', key)
if rev then
  local from = card - low
  return {card, redis.call('ZRANGE', key, from, from + n - 1, 'REV')}
end
return {card, redis.call('ZRANGE', key, low, low + n - 1)}
`

// rows is a queued read of a sorted set's page.
type rows struct {
	first *redis.StringSliceCmd
	after *redis.Cmd
}

// queuePage queues the read of n members of a sorted set after a keyset (nil: from the start).
func queuePage(ctx context.Context, pipe redis.Pipeliner, key string, rev bool, score int64, after *Keyset, n int) rows {
	if after == nil {
		return rows{first: pipe.ZRangeArgs(ctx, redis.ZRangeArgs{Key: key, Start: 0, Stop: n - 1, Rev: rev})}
	}
	direction := "FWD"
	if rev {
		direction = "REV"
	}
	var prefix [readmodel.PrefixLen]byte
	return rows{after: pipe.EvalRO(ctx, pageAfter, []string{key},
		direction, strconv.FormatInt(score, 10), readmodel.AppendPrefix(prefix[:0], after.At, after.ID), n)}
}

// members returns the page and whether the set has any member at all, which a set that exists has.
func (r rows) members() (members []string, exists bool, err error) {
	if r.first != nil {
		members, err = r.first.Result()
		return members, len(members) > 0, err
	}
	answer, err := r.after.Slice()
	if err != nil {
		return nil, false, err
	}
	if len(answer) != 2 {
		return nil, false, fmt.Errorf("%w: page of %d parts", readmodel.ErrCorrupt, len(answer))
	}
	card, ok1 := answer[0].(int64)
	list, ok2 := answer[1].([]any)
	members = make([]string, len(list))
	for i := range list {
		var ok bool
		members[i], ok = list[i].(string)
		ok2 = ok2 && ok
	}
	if !ok1 || !ok2 {
		return nil, false, fmt.Errorf("%w: page of other types", readmodel.ErrCorrupt)
	}
	return members, card > 0, nil
}
