-- Tell which post ids a partition has counted, as long as its cursor is where the asker thinks.
--
-- KEYS[1]  {p}:cursor; every other key has the same hash tag.
-- ARGV[1]  msgpack list of {id as decimal string, shard, hour, hour, ...}
-- ARGV[2]  offset of the first record of `posts` that is asked for, "" if it is about none
-- ARGV[3]  cursor that the asker knows to have been stored
-- Returns a list of 0 and 1, one for each id, or the stored cursor: if that record was applied,
-- another writer has counted these very records, and each would look like a copy of itself; if the
-- cursor was known to be further, the store went back in time, and copies would look like posts.

local stored = tonumber(redis.call('HGET', KEYS[1], 'posts') or '-1')
local first = tonumber(ARGV[2])
if first and (stored >= first or stored < tonumber(ARGV[3])) then
  return stored
end

local p = string.sub(KEYS[1], 1, -7)
local known = {}
for _, hour in ipairs(redis.call('ZRANGE', p .. 'seen-hours', 0, -1)) do
  known[tonumber(hour)] = true
end

local asked = cmsgpack.unpack(ARGV[1])
local answer = {}
for i, entry in ipairs(asked) do
  answer[i] = 0
  for h = 3, #entry do
    if known[entry[h]] and redis.call('SISMEMBER',
        p .. 'seen:' .. entry[h] .. ':' .. entry[2], entry[1]) == 1 then
      answer[i] = 1
      break
    end
  end
end
return answer
