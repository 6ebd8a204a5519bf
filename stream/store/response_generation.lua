-- Begins every script of the responder: refuses to write into a store that went back.
--
-- ARGV[1]  the number of writes that the caller knows to be done; it is taken from ARGV, so that
--          what follows counts its arguments without it
-- Each write raises `{responder}:generation` by one. If fewer are there than the caller knows of,
-- Redis lost some of them: nothing is written, and {0} is returned.

local tag = '{responder}:'

local function ours(key, kind)
  -- Somebody's value of another type is worth nothing here.
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then
    redis.call('DEL', key)
  end
  return key
end

local known = tonumber(table.remove(ARGV, 1))
local counter = ours(tag .. 'generation', 'string')
local generation = tonumber(redis.call('GET', counter) or 0) or 0
if not (generation >= 0 and generation < 2 ^ 53) then
  generation = 0
end
generation = math.floor(generation)
if generation < known then
  return {0}
end
generation = generation + 1
redis.call('SET', counter, string.format('%.0f', generation))
