package readmodel

// PageAfter is a script that reads a page of the sorted set KEYS[1]. It returns two arrays: the first member in the
// direction of reading, which is the sentinel if the set is whole, and up to ARGV[4] members after a keyset. The
// keyset is the score ARGV[2] and the member prefix ARGV[3]; its member may have left the set. ARGV[1] is 'REV' to
// read downwards. If ARGV[5] is WITHSCORES, each member is followed by its score. Many members may share a score (a
// price), so the script finds the place among them by bisection. It compares prefixes as numbers, because Lua
// compares strings by the locale and Redis by bytes.
const PageAfter = `
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
  return {redis.call('ZRANGE', key, -1, -1), redis.call('ZRANGE', key, from, from + n - 1, 'REV', unpack(ARGV, 5))}
end
return {redis.call('ZRANGE', key, 0, 0), redis.call('ZRANGE', key, low, low + n - 1, unpack(ARGV, 5))}
`
