-- Remember revisions of panes, unless another closer has taken over since `epoch`.
--
-- KEYS[1]  {closer}:epoch; every other key has the same hash tag.
-- ARGV[1]  the writer's epoch
-- ARGV[2..] start, query, packed revision, start, query, packed revision, ...
-- Returns 1, or 0 if refused: a closer that slept through its replacement must not number windows;
-- or the name of a key that is of another type. Nothing was written then.

if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local closer = string.sub(KEYS[1], 1, -6)
for i = 2, #ARGV, 3 do
  if type(redis.pcall('HLEN', closer .. 'rev:' .. ARGV[i])) == 'table' then
    return closer .. 'rev:' .. ARGV[i]
  end
end
for i = 2, #ARGV, 3 do
  redis.call('HSET', closer .. 'rev:' .. ARGV[i], ARGV[i + 1], ARGV[i + 2])
  -- Of another type it is made anew from the keys that it lists, before it is used.
  redis.pcall('ZADD', closer .. 'published', ARGV[i], ARGV[i])
end
return 1
