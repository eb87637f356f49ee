package projection

// The scripts that write and check sentinels (readmodel.Sentinel). All of them are idempotent. A script that finds
// something lost answers sink.LostPrefix and the part to reload.

// openSize makes the size ARGV[1] a member of the raffle's sizes KEYS[1]. A size that was no member has no bids, so its
// sets KEYS[2] and KEYS[3] are new and get their sentinels. Otherwise the sets must have their sentinels. Both hold
// only if the raffle is marked as known, because without the mark the sizes themselves may have been lost. They were
// lost if this size is their only member although the raffle has its entry KEYS[4].
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

// openAll does the same for the set KEYS[2] and the floor KEYS[3] of a size over all raffles. KEYS[1] is AllSizes.
const openAll = `local known = redis.call('SISMEMBER', KEYS[1], '0') == 1
local added = redis.call('SADD', KEYS[1], ARGV[1]) == 1
if not known then return 'lost lists' end
if added and redis.call('EXISTS', KEYS[2], KEYS[3]) == 0 then
  redis.call('ZADD', KEYS[2], '+inf', 'whole')
  redis.call('SET', KEYS[3], '0')
elseif redis.call('ZRANGE', KEYS[2], -1, -1)[1] ~= 'whole' or redis.call('EXISTS', KEYS[3]) == 0 then
  return 'lost ' .. ARGV[2]
end`

// openRaffle marks a new raffle as known in its sizes KEYS[1]. The raffle is new only if Redis holds none of its bids:
// KEYS[1] is missing, and no size of AllSizes, KEYS[4], has a set of the raffle. If Redis does hold bids, their sets
// have no sentinels, or KEYS[1] was lost. Then the script requests a reload in KEYS[3], and the reload writes the mark.
// With more than ARGV[4] sizes it requests a reload without looking, because each look takes up to a microsecond. If
// the raffle waits for a reload already (KEYS[3]) or has a row without a packing (KEYS[2]), it also gets its mark from
// a reload. ARGV[2] and ARGV[3] begin the names of the raffle's sets.
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

// spoilRaffle removes the mark and all sentinels of a raffle, so that nobody reads it. If the mark is missing, the
// raffle's sizes KEYS[1] may have been lost, so the script looks for sentinels in sets of all sizes KEYS[2]. ARGV[1]
// and ARGV[2] begin the names of the sets. One of these keys may be of another type.
const spoilRaffle = `local of = KEYS[1]
if redis.call('SISMEMBER', KEYS[1], '0') == 0 then of = KEYS[2] end
for _, size in ipairs(redis.call('SUNION', KEYS[1], of)) do
  redis.pcall('ZREM', ARGV[1] .. size, 'whole')
  redis.pcall('ZREM', ARGV[2] .. size, 'whole')
end
redis.call('SREM', KEYS[1], '0')`

// spoilGone spoils a raffle that was removed. Its bids may stay. If the mark is missing already and the raffle has no
// poisoned row (KEYS[3]), the sizes were lost. Then the script requests a reload in KEYS[4], because openRaffle gives
// no mark to a raffle that waits for a reload.
const spoilGone = `local lost
if redis.call('SISMEMBER', KEYS[1], '0') == 0 and redis.call('SISMEMBER', KEYS[3], ARGV[3]) == 0 then
  redis.call('SADD', KEYS[4], ARGV[3])
  lost = 'lost ' .. ARGV[3]
end
` + spoilRaffle + `
return lost`

// listSize ends the loading of a size's sets without sentinels. It makes the size ARGV[1] a member of the raffle's
// sizes if it has bids, otherwise it removes the size. KEYS and ARGV are those of openSize.
const listSize = `local begun = redis.call('ZREM', KEYS[2], 'loading') + redis.call('ZREM', KEYS[3], 'loading')
if redis.call('EXISTS', KEYS[2], KEYS[3]) == 0 then
  redis.call('SREM', KEYS[1], ARGV[1])
else
  redis.call('SADD', KEYS[1], ARGV[1])
end`

// sealSize ends the reload of a size whose sets are complete. If a set was lost since it was begun, or the two sets
// differ in number, they get no sentinels.
const sealSize = listSize + `
if begun < 2 or redis.call('ZCARD', KEYS[2]) ~= redis.call('ZCARD', KEYS[3]) then return 'lost ' .. ARGV[2] end
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('ZADD', KEYS[2], '+inf', 'whole')
  redis.call('ZADD', KEYS[3], '-inf', 'whole')
end`

// sealRaffle marks a raffle as known when all its sizes are sealed, unless its sizes KEYS[1] were lost since the first
// was sealed. sealRaffle and the next two scripts request another reload of what was lost, in the last of KEYS.
const sealRaffle = `if redis.call('SREM', KEYS[1], 'loading') == 0 then
  redis.call('SADD', KEYS[2], ARGV[1])
  return 'lost ' .. ARGV[1]
end
redis.call('SADD', KEYS[1], '0')`

// sealAll ends the reload of the set KEYS[1] of a size over all raffles and its floor KEYS[2].
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

// forgetEmpty removes a size without bids from its raffle's sizes, together with its sets, which then hold nothing but
// their sentinels. KEYS and ARGV are those of openSize.
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

// checkSize finds out what was lost after a probe found a key missing. The raffle's entry KEYS[4] tells sizes that were
// lost from the sizes of a raffle that does not exist. KEYS and ARGV are those of openSize.
const checkSize = `if redis.call('EXISTS', KEYS[1]) == 0 then
  if redis.call('EXISTS', KEYS[4]) == 1 then return 'lost ' .. ARGV[2] end
  return
end
if redis.call('SISMEMBER', KEYS[1], '0') == 0 or redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return end
if redis.call('ZRANGE', KEYS[2], -1, -1)[1] ~= 'whole' or redis.call('ZRANGE', KEYS[3], 0, 0)[1] ~= 'whole' then
  return 'lost ' .. ARGV[2]
end`

// checkAll does the same for the set KEYS[1] of a size over all raffles and its floor KEYS[2].
const checkAll = `if redis.call('ZRANGE', KEYS[1], -1, -1)[1] ~= 'whole' or redis.call('EXISTS', KEYS[2]) == 0 then
  return 'lost ' .. ARGV[1]
end`

// checkLists does the same for the list of raffles KEYS[1] and the products KEYS[2].
const checkLists = `if redis.call('ZRANGE', KEYS[1], -1, -1)[1] ~= 'whole' or redis.call('HEXISTS', KEYS[2], 'whole') == 0 then
  return 'lost lists'
end`

// forgetProducts removes the names that begin with ARGV[1], those of poisoned products, from KEYS[1].
const forgetProducts = `for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if string.sub(name, 1, #ARGV[1]) == ARGV[1] then redis.call('SREM', KEYS[1], name) end
end`

// trimSize removes the oldest bids of the set KEYS[1], so that ARGV[1] bids and the sentinel stay. The newest score
// that it removed becomes the floor KEYS[2]. A floor that was lost stays lost.
const trimSize = `local over = redis.call('ZCARD', KEYS[1]) - 1 - tonumber(ARGV[1])
if over <= 0 then return end
local score = redis.call('ZRANGE', KEYS[1], over - 1, over - 1, 'WITHSCORES')[2]
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1)
local floor = redis.call('GET', KEYS[2])
if floor and tonumber(floor) < tonumber(score) then redis.call('SET', KEYS[2], score) end`
