-- Keep what the forecaster knows of one partition: all of it or nothing.
--
-- KEYS[1]  {p}:forecast; every other key has the same hash tag.
-- ARGV[1]  offsets of scored-posts and, ARGV[2], post-events that must be stored
-- ARGV[3]  and ARGV[4] those to store
-- ARGV[5]  token of this apply, never used before: the same twice is the same apply
-- ARGV[6]  how many (field, value) pairs of KEYS[1] follow to set; then how many (field, increment)
--          pairs to add; then of each shard its name after "{p}:forecast:", how many (field,
--          record) pairs to set, how many fields to delete, and these; to the end
-- Returns {1, set aside} with the names of shards that were of another type; {0, stored offsets} if
-- refused; {2, key, field, found, expected} if KEYS[1] cannot be read. Nothing was written then.

local own, tag = KEYS[1], string.sub(KEYS[1], 1, -9) -- "{p}:"
local AT_ONCE = 2000 -- Lua hands a call no more than some thousands of arguments

local function is_wrong(answer)
  return type(answer) == 'table' and answer.err ~= nil and string.find(answer.err, 'WRONGTYPE') ~= nil
end

-- First everything is read, then written: Redis takes nothing back when a script fails.
local found = redis.pcall('HMGET', own, 'scored-posts', 'post-events', 'token')
if is_wrong(found) then
  return {2, own, '', 'a ' .. redis.call('TYPE', own).ok .. ' (WRONGTYPE)', 'a hash'}
end
for i, name in ipairs({'scored-posts', 'post-events'}) do
  if found[i] and not string.find(found[i], '^%-?%d%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?$') then
    return {2, own, name, string.sub(found[i], 1, 64), 'an offset'}
  end
end
if found[3] == ARGV[5] then
  return {1, {}}
end
local posts, events = found[1] or '-1', found[2] or '-1'
if posts ~= ARGV[1] or events ~= ARGV[2] then
  return {0, posts, events}
end
local at = 7 + 2 * tonumber(ARGV[6])
for i = at + 1, at + 2 * tonumber(ARGV[at]), 2 do
  local total = redis.call('HGET', own, ARGV[i])
  if total and not string.find(total, '^%-?%d%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?$') then
    return {2, own, ARGV[i], string.sub(total, 1, 64), 'an integer'}
  end
end

redis.call('HSET', own, 'scored-posts', ARGV[3], 'post-events', ARGV[4], 'token', ARGV[5])
for i = 7, at - 1, 2 do
  redis.call('HSET', own, ARGV[i], ARGV[i + 1])
end
local last = at + 2 * tonumber(ARGV[at])
for i = at + 1, last, 2 do
  redis.call('HINCRBY', own, ARGV[i], ARGV[i + 1])
end

local aside = {}
local function call_in_parts(command, key, first, final)
  for i = first, final, AT_ONCE do
    redis.call(command, key, unpack(ARGV, i, math.min(i + AT_ONCE - 1, final)))
  end
end
at = last + 1
while at <= #ARGV do
  local key = own .. ':' .. ARGV[at]
  if is_wrong(redis.pcall('HLEN', key)) then
    redis.call('RENAME', key, tag .. 'aside:forecast:' .. ARGV[at])
    aside[#aside + 1] = ARGV[at]
  end
  local first_delete = at + 3 + 2 * tonumber(ARGV[at + 1])
  local next_shard = first_delete + tonumber(ARGV[at + 2])
  call_in_parts('HSET', key, at + 3, first_delete - 1)
  call_in_parts('HDEL', key, first_delete, next_shard - 1)
  at = next_shard
end
return {1, aside}
