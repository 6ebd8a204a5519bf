-- Save what the judge of shifts knows together with what it said: all of it or nothing.
--
-- KEYS[1]  {closer}:epoch; every other key has the same hash tag.
-- ARGV[1]  the writer's epoch
-- ARGV[2]  token of the save that must be the last ("" for none), ARGV[3] token of this one
-- ARGV[4]  what is known beside the queries; "" leaves it
-- ARGV[5]  how many (query, state) pairs follow; then how many queries to forget, and these;
--          then (alert id, open alert, record for the topic) of each alert, to the end
-- Returns 1 if this save is stored, by this call or by one whose answer was lost; 0 if refused:
-- another closer has begun, or the store went back in time; 2 if a key is of another type.

local closer = string.sub(KEYS[1], 1, -6)
local judge = closer .. 'judge'
for _, name in ipairs({'judge', 'states', 'open', 'outbox'}) do
  if type(redis.pcall('HLEN', closer .. name)) == 'table' then
    return 2
  end
end
if not string.find(redis.call('HGET', judge, 'said') or '0', '^%d%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?$') then
  redis.call('HDEL', judge, 'said') -- numbers only order the outbox, which is emptied at once
end
local last = redis.call('HGET', judge, 'token') or ''
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if last == ARGV[3] then
  return 1
end
if last ~= ARGV[2] then
  return 0
end
redis.call('HSET', judge, 'token', ARGV[3])
if ARGV[4] ~= '' then
  redis.call('HSET', judge, 'known', ARGV[4])
end
local at = 6
for _ = 1, tonumber(ARGV[5]) do
  redis.call('HSET', closer .. 'states', ARGV[at], ARGV[at + 1])
  at = at + 2
end
local forgotten = tonumber(ARGV[at])
for i = at + 1, at + forgotten do
  redis.call('HDEL', closer .. 'states', ARGV[i])
end
at = at + forgotten + 1
while at <= #ARGV do
  redis.call('HSET', closer .. 'open', ARGV[at], ARGV[at + 1])
  local number = redis.call('HINCRBY', judge, 'said', 1)
  redis.call('HSET', closer .. 'outbox', number, ARGV[at + 2])
  at = at + 3
end
return 1
