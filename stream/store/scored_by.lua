-- Remember which model scores, unless another closer has taken over since `epoch`.
--
-- KEYS[1]  {closer}:epoch; every other key has the same hash tag.
-- ARGV     the writer's epoch, the version ("" for several), the start (s) of the first pane that it
--          alone has scored
-- Returns 1, or 0 if refused. A key of another type is set aside.

if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local closer = string.sub(KEYS[1], 1, -6)
local key = closer .. 'scored-by'
if type(redis.pcall('HLEN', key)) == 'table' then
  redis.call('RENAME', key, closer .. 'aside:scored-by')
end
redis.call('HSET', key, 'version', ARGV[2], 'since', ARGV[3])
return 1
