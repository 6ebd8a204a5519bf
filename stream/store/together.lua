-- Carry out commands on keys of one slot in one step.
--
-- ARGV     how many words a command has, and these; to the end
-- A transaction of Redis's own would do on one server; to a cluster's client it is another thing.

-- First what a full memory refuses: then it refuses all, and not what comes after a deletion. The
-- key that no node may have is gone again at once.
redis.call('SET', KEYS[2], '')
redis.call('DEL', KEYS[2])
local at = 1
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
