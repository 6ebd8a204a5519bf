-- Tell which post ids a partition has already counted.
--
-- KEYS[1]  {p}:cursor; every other key has the same hash tag.
-- ARGV[1]  msgpack list of {id as decimal string, shard, hour, hour, ...}
-- Returns a list of 0 and 1, one for each id. Safe as a plain read: a partition has one writer, and
-- the apply of a second one is refused.

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
