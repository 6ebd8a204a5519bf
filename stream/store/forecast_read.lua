-- Read some shards of one kind of the forecaster's records: those in which there is something.
--
-- KEYS[1]  {p}:forecast; every other key has the same hash tag.
-- ARGV[1]  the kind, ARGV[2] and ARGV[3] the first and the last shard
-- Returns for each its number and {field, record, field, record, ...}, or 0 if it is no hash.

local answer = {}
for shard = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local found = redis.pcall('HGETALL', KEYS[1] .. ':' .. ARGV[1] .. ':' .. shard)
  if found.err then
    if not string.find(found.err, 'WRONGTYPE') then
      error(found.err)
    end
    found = 0
  end
  if found == 0 or #found > 0 then
    answer[#answer + 1] = shard
    answer[#answer + 1] = found
  end
end
return answer
