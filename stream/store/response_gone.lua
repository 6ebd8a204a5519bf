-- Remove the texts of deleted posts from everything that shows them, and remember the deletions.
--
-- KEYS[1]  {responder}:gone; every other key has the same hash tag.
-- ARGV[1]  the present time (ms), ARGV[2] how long a deletion is remembered (ms), ARGV[3] how many
--          deletions are remembered at most
-- ARGV[4]  to the end: the posts
-- Returns how many texts were removed.

local tag = '{responder}:'
local now = tonumber(ARGV[1])
local texts, where = tag .. 'texts:', tag .. 'where:'
local removed = 0

for i = 4, #ARGV do
  local post = ARGV[i]
  redis.call('ZADD', KEYS[1], now, post)
  for _, event in ipairs(redis.call('SMEMBERS', where .. post)) do
    removed = removed + redis.call('HDEL', texts .. event, 't:' .. post)
  end
  redis.call('DEL', where .. post)
  -- What was said to a post that is gone is shown nowhere: neither here nor where it is quoted.
  for _, field in ipairs(redis.call('HKEYS', texts .. post)) do
    if string.sub(field, 1, 2) == 't:' then
      local reply = string.sub(field, 3)
      for _, event in ipairs(redis.call('SMEMBERS', where .. reply)) do
        -- But a reply that is an event itself stands there for itself.
        if event ~= reply then
          removed = removed + redis.call('HDEL', texts .. event, field)
          redis.call('SREM', where .. reply, event)
        end
      end
    end
  end
  redis.call('DEL', texts .. post)
  redis.call('ZREM', tag .. 'events', post)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
return removed
