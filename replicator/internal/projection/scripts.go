package projection

// Scripts that write and check sentinels (readmodel.Sentinel). All of them are idempotent. Those that find that
// something was lost answer sink.LostPrefix and the part to reload.

// openSize makes the size ARGV[1] a member of the raffle's sizes KEYS[1]. A size that was not one has no
// bids yet, so its sets KEYS[2] and KEYS[3] are new and get their sentinels; but only if the raffle is marked as
// known, because otherwise the sizes themselves may have been lost: they were if they are new although the raffle
// has its entry KEYS[4]. An old size must have its sentinels.
const openSize = `local known = redis.call('SISMEMBER', KEYS[1], '0') == 1
local added = redis.call('SADD', KEYS[1], ARGV[1]) == 1
if not known then
  if redis.call('SCARD', KEYS[1]) == 1 and redis.call('EXISTS', KEYS[4]) == 1 then return 'lost ' .. ARGV[2] end
  return
end
if added and redis.call('EXISTS', KEYS[2], KEYS[3]) == 0 then
  redis.call('ZADD', KEYS[2], '+inf', 'whole')
  redis.call('ZADD', KEYS[3], '-inf', 'whole')
elseif redis.call('ZRANGE', KEYS[2], -1, -1)[1] ~= 'whole' or redis.call('ZRANGE', KEYS[3], 0, 0)[1] ~= 'whole' then
  return 'lost ' .. ARGV[2]
end`

// openAll does the same for the set KEYS[2] and the floor KEYS[3] of a size over all raffles; KEYS[1] is AllSizes.
const openAll = `local known = redis.call('SISMEMBER', KEYS[1], '0') == 1
local added = redis.call('SADD', KEYS[1], ARGV[1]) == 1
if not known then return 'lost lists' end
if added and redis.call('EXISTS', KEYS[2], KEYS[3]) == 0 then
  redis.call('ZADD', KEYS[2], '+inf', 'whole')
  redis.call('SET', KEYS[3], '0')
elseif redis.call('ZRANGE', KEYS[2], -1, -1)[1] ~= 'whole' or redis.call('EXISTS', KEYS[3]) == 0 then
  return 'lost ' .. ARGV[2]
end`

// openRaffle marks a new raffle as known in its sizes KEYS[1]. The raffle is new only if Redis holds none of its
// bids: no size is a member of KEYS[1], and no size of KEYS[4], which is AllSizes, has a set. Otherwise its sets have
// no sentinels, or KEYS[1] was lost before, so the script asks in KEYS[3] for a reload, which gives the mark. Among more
// than ARGV[4] sizes it does not look, because that takes up to a microsecond each. A raffle that waits for a reload,
// which KEYS[3] says, or has a row without a packing, which KEYS[2] says, also gets its mark from a reload. ARGV[2] and
// ARGV[3] begin the names of the raffle's sets.
const openRaffle = `if redis.call('SISMEMBER', KEYS[1], '0') == 1 or redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1
  or redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 1 then return end
local new = redis.call('EXISTS', KEYS[1]) == 0 and redis.call('SISMEMBER', KEYS[4], '0') == 1
  and redis.call('SCARD', KEYS[4]) <= tonumber(ARGV[4])
for _, size in ipairs(new and redis.call('SMEMBERS', KEYS[4]) or {}) do
  new = new and redis.call('EXISTS', ARGV[2] .. size, ARGV[3] .. size) == 0
end
if new then
  redis.call('SADD', KEYS[1], '0')
else
  redis.call('SADD', KEYS[3], ARGV[1])
  return 'lost ' .. ARGV[1]
end`

// spoilRaffle takes the mark and all sentinels of a raffle away, so that nobody reads it. Without the mark the raffle's
// sizes KEYS[1] may have been lost, so sets of all sizes KEYS[2] may have sentinels. ARGV[1] and ARGV[2] begin the
// names of its sets, of which one may be a key of another type.
const spoilRaffle = `local of = KEYS[1]
if redis.call('SISMEMBER', KEYS[1], '0') == 0 then of = KEYS[2] end
for _, size in ipairs(redis.call('SUNION', KEYS[1], of)) do
  redis.pcall('ZREM', ARGV[1] .. size, 'whole')
  redis.pcall('ZREM', ARGV[2] .. size, 'whole')
end
redis.call('SREM', KEYS[1], '0')`

// spoilGone spoils a raffle that was removed. Its bids may stay. If the mark is missing already, for another reason
// than a row without a packing, which KEYS[3] says, its sizes were lost: then the script asks in KEYS[4] for a reload,
// without which openRaffle gives no mark.
const spoilGone = `local lost
if redis.call('SISMEMBER', KEYS[1], '0') == 0 and redis.call('SISMEMBER', KEYS[3], ARGV[3]) == 0 then
  redis.call('SADD', KEYS[4], ARGV[3])
  lost = 'lost ' .. ARGV[3]
end
` + spoilRaffle + `
return lost`

// listSize makes the size ARGV[1] a member of the raffle's sizes if it has bids: KEYS and ARGV are those of openSize.
const listSize = `local begun = redis.call('ZREM', KEYS[2], 'loading') + redis.call('ZREM', KEYS[3], 'loading')
if redis.call('EXISTS', KEYS[2], KEYS[3]) == 0 then
  redis.call('SREM', KEYS[1], ARGV[1])
else
  redis.call('SADD', KEYS[1], ARGV[1])
end`

// sealSize ends the reload of a size of a raffle whose sets are complete, unless one was lost since it was begun.
const sealSize = listSize + `
if begun < 2 or redis.call('ZCARD', KEYS[2]) ~= redis.call('ZCARD', KEYS[3]) then return 'lost ' .. ARGV[2] end
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('ZADD', KEYS[2], '+inf', 'whole')
  redis.call('ZADD', KEYS[3], '-inf', 'whole')
end`

// sealRaffle marks a raffle of which all sizes are sealed, unless its sizes KEYS[1] were lost since the first one was.
// This and the scripts below ask in the last of KEYS for another reload of what was lost.
const sealRaffle = `if redis.call('SREM', KEYS[1], 'loading') == 0 then
  redis.call('SADD', KEYS[2], ARGV[1])
  return 'lost ' .. ARGV[1]
end
redis.call('SADD', KEYS[1], '0')`

// sealAll ends the reload of a set over all raffles KEYS[1] and its floor KEYS[2].
const sealAll = `if redis.call('ZREM', KEYS[1], 'loading') == 0 or redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SADD', KEYS[3], ARGV[1])
  return 'lost ' .. ARGV[1]
end
redis.call('ZADD', KEYS[1], '+inf', 'whole')`

// sealLists ends the reload of the list of raffles KEYS[1], the products KEYS[2] and all sizes KEYS[3].
const sealLists = `if redis.call('ZREM', KEYS[1], 'loading') == 0 or redis.call('HDEL', KEYS[2], 'loading') == 0 then
  redis.call('SADD', KEYS[4], ARGV[1])
  return 'lost ' .. ARGV[1]
end
redis.call('ZADD', KEYS[1], '+inf', 'whole')
redis.call('HSET', KEYS[2], 'whole', '')
redis.call('SADD', KEYS[3], '0')`

// forgetEmpty takes a size that has no bids left out of its raffle's sizes, together with its sets, which hold
// nothing but their sentinels then. KEYS and ARGV are those of openSize.
const forgetEmpty = `local newest, highest = redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3])
if newest > 1 or redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return end
if newest == 1 and highest == 1 and redis.call('ZRANGE', KEYS[2], 0, 0)[1] == 'whole' and redis.call('ZRANGE', KEYS[3], 0, 0)[1] == 'whole' then
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('SREM', KEYS[1], ARGV[1])
elseif redis.call('SISMEMBER', KEYS[1], '0') == 1 then
  return 'lost ' .. ARGV[2]
elseif newest + highest == 0 then
  redis.call('SREM', KEYS[1], ARGV[1])
end`

// checkSize looks for what was lost when a key was missing: KEYS and ARGV are those of openSize. The raffle's
// entry tells sizes that were lost from those of a raffle that does not exist.
const checkSize = `if redis.call('EXISTS', KEYS[1]) == 0 then
  if redis.call('EXISTS', KEYS[4]) == 1 then return 'lost ' .. ARGV[2] end
  return
end
if redis.call('SISMEMBER', KEYS[1], '0') == 0 or redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return end
if redis.call('ZRANGE', KEYS[2], -1, -1)[1] ~= 'whole' or redis.call('ZRANGE', KEYS[3], 0, 0)[1] ~= 'whole' then
  return 'lost ' .. ARGV[2]
end`

// checkAll does the same for a set over all raffles KEYS[1] and its floor KEYS[2].
const checkAll = `if redis.call('ZRANGE', KEYS[1], -1, -1)[1] ~= 'whole' or redis.call('EXISTS', KEYS[2]) == 0 then
  return 'lost ' .. ARGV[1]
end`

// checkLists does the same for the list of raffles KEYS[1] and the products KEYS[2].
const checkLists = `if redis.call('ZRANGE', KEYS[1], -1, -1)[1] ~= 'whole' or redis.call('HEXISTS', KEYS[2], 'whole') == 0 then
  return 'lost lists'
end`

// forgetProducts takes the names that begin with ARGV[1] out of KEYS[1]: those of poisoned products.
const forgetProducts = `for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if string.sub(name, 1, #ARGV[1]) == ARGV[1] then redis.call('SREM', KEYS[1], name) end
end`

// trimSize drops the oldest of the set KEYS[1] beyond ARGV[1], the sentinel not counted, and notes the newest
// dropped score in KEYS[2]. A floor that was lost stays lost.
const trimSize = `local over = redis.call('ZCARD', KEYS[1]) - 1 - tonumber(ARGV[1])
if over <= 0 then return end
local score = redis.call('ZRANGE', KEYS[1], over - 1, over - 1, 'WITHSCORES')[2]
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1)
local floor = redis.call('GET', KEYS[2])
if floor and tonumber(floor) < tonumber(score) then redis.call('SET', KEYS[2], score) end`
