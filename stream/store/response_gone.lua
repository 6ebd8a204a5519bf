-- Remove the texts of deleted posts from everything that shows them, and remember the deletions.
--
-- KEYS[1]  {responder}:gone; every other key has the same hash tag.
-- ARGV[1]  the present time (ms), ARGV[2] how long a deletion is remembered (ms), ARGV[3] how many
--          deletions are remembered at most
-- ARGV[4]  to the end: the posts
-- Follows `response_generation.lua`. Returns the generation, and how many texts were removed.

local now = tonumber(ARGV[1])
local texts, where = tag .. 'texts:', tag .. 'where:'
local removed = 0

local function events_with(post)
  local found = redis.call('TYPE', where .. post).ok
  if found == 'set' or found == 'none' then
    return redis.call('SMEMBERS', where .. post)
  end
  -- Somebody has overwritten where it is: it may be anywhere.
  return redis.call('ZRANGE', tag .. 'events', 0, -1)
end

-- Replies that an event quotes were said to other posts: they go with those alone.
local function quoted_by(post)
  local found = {}
  local is_read, response = pcall(cjson.decode, redis.call('HGET', texts .. post, 'response') or '')
  if is_read and type(response) == 'table' and type(response.replies) == 'table' then
    local source = string.match(post, '^[^|]*|') or ''
    for _, reply in ipairs(response.replies) do
      if type(reply) == 'table' and reply.kind == 'quoted' then
        found[source .. tostring(reply.reply_id)] = true
      end
    end
  end
  return found
end

for i = 4, #ARGV do
  local post = ARGV[i]
  redis.call('ZADD', KEYS[1], now, post)
  for _, event in ipairs(events_with(post)) do
    removed = removed + redis.call('HDEL', ours(texts .. event, 'hash'), 't:' .. post)
  end
  redis.call('DEL', where .. post)
  -- What was said to a post that is gone is shown nowhere: neither here nor where it is quoted.
  local fields = redis.call('HKEYS', ours(texts .. post, 'hash'))
  local quoted = quoted_by(post)
  for _, field in ipairs(fields) do
    local reply = string.sub(field, 3)
    if quoted[reply] then
      redis.call('SREM', ours(where .. reply, 'set'), post)
    elseif string.sub(field, 1, 2) == 't:' then
      for _, event in ipairs(redis.call('SMEMBERS', ours(where .. reply, 'set'))) do
        -- But a reply that is an event itself stands there for itself.
        if event ~= reply then
          removed = removed + redis.call('HDEL', ours(texts .. event, 'hash'), field)
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
return {generation, removed}
