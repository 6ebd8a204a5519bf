-- Take panes of one partition off the dirty list, those that did not change since the closer read
-- their mark; a changed one keeps its new mark and is published again.
--
-- KEYS[1]  {p}:cursor
-- ARGV     start, mark, start, mark, ...

local dirty = p .. 'dirty'
for i = 1, #ARGV, 2 do
  if try('HGET', dirty, ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', dirty, ARGV[i])
  end
end
