-- Keep what the responder must know after a restart.
--
-- KEYS[1]  {responder}:known
-- ARGV     fields and values in turn
-- Returns the generation.

ours(KEYS[1], 'hash')
for i = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return {generation}
