-- Close the panes of one partition that start before ARGV[1] (s): they become due for publishing,
-- and from now on each change makes them due again. Never goes back, so a closer that comes late
-- with an earlier time changes nothing.
--
-- ARGV[2]  ms since 1970: what lies far beyond it cannot be read
-- Returns how many panes were closed, or {2, key, field, found, expected} if something of the
-- partition cannot be read.

local fields, unreadable = read_cursor(ARGV[2])
if not fields then
  return unreadable
end
local closed = fields['closed'] or '-inf'
if closed ~= '-inf' and tonumber(ARGV[1]) <= closed then
  return 0
end
local starts = redis.call('ZRANGEBYSCORE', p .. 'starts', closed, '(' .. ARGV[1])
for _, start in ipairs(starts) do
  redis.call('HSET', p .. 'dirty', start, 'closed')
end
redis.call('HSET', KEYS[1], 'closed', ARGV[1])
return #starts
