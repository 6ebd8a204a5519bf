-- Close the panes of one partition that start before ARGV[1] (s): they become due for publishing,
-- and from now on each change makes them due again. Never goes back, so a closer that comes late
-- with an earlier time changes nothing.
--
-- KEYS[1]  {p}:cursor
-- Returns how many panes were closed.

local p = string.sub(KEYS[1], 1, -7)
local closed = redis.call('HGET', KEYS[1], 'closed') or '-inf'
if closed ~= '-inf' and tonumber(ARGV[1]) <= tonumber(closed) then
  return 0
end
local starts = redis.call('ZRANGEBYSCORE', p .. 'starts', closed, '(' .. ARGV[1])
for _, start in ipairs(starts) do
  redis.call('HSET', p .. 'dirty', start, 'closed')
end
redis.call('HSET', KEYS[1], 'closed', ARGV[1])
return #starts
