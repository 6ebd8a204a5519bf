-- Keep what is shown of one event: its response, and the texts of people that the response names.
--
-- KEYS[1]  {responder}:texts:<event>; every other key has the same hash tag.
-- ARGV[1]  the event, ARGV[2] its response, ARGV[3] the present time (ms), ARGV[4] how long it is
--          kept (ms), ARGV[5] how many events are kept at most
-- ARGV[6]  to the end: posts and their texts in turn
-- Texts of posts that are deleted are left out, and those that are shown no more are removed.
-- Follows `response_generation.lua`. Returns the generation, how many texts were left out, and how
-- many other events had to go.

local event, now, keep = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local where = tag .. 'where:'

local function drop(one)
  local key = ours(tag .. 'texts:' .. one, 'hash')
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 2) == 't:' then
      redis.call('SREM', ours(where .. string.sub(field, 3), 'set'), one)
    end
  end
  redis.call('DEL', key)
  redis.call('ZREM', tag .. 'events', one)
end

ours(KEYS[1], 'hash')
local left_out, wanted = 0, {}
local event_is_gone = redis.call('ZSCORE', tag .. 'gone', event)
for i = 6, #ARGV, 2 do
  if event_is_gone or redis.call('ZSCORE', tag .. 'gone', ARGV[i]) then
    left_out = left_out + 1
  else
    wanted[ARGV[i]] = ARGV[i + 1]
  end
end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local post = string.sub(field, 3)
  if string.sub(field, 1, 2) == 't:' and not wanted[post] then
    redis.call('HDEL', KEYS[1], field)
    redis.call('SREM', ours(where .. post, 'set'), event)
  end
end
for post, text in pairs(wanted) do
  redis.call('HSET', KEYS[1], 't:' .. post, text)
  redis.call('SADD', ours(where .. post, 'set'), event)
  redis.call('PEXPIRE', where .. post, keep)
end
redis.call('HSET', KEYS[1], 'response', ARGV[2])
redis.call('PEXPIRE', KEYS[1], keep)
redis.call('ZADD', tag .. 'events', now, event)
-- The hashes of these have expired by themselves.
redis.call('ZREMRANGEBYSCORE', tag .. 'events', '-inf', now - keep)
local dropped = 0
for _, one in ipairs(redis.call('ZRANGE', tag .. 'events', 0, -1 - tonumber(ARGV[5]))) do
  drop(one)
  dropped = dropped + 1
end
return {generation, left_out, dropped}
