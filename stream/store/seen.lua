-- Tell which post ids a partition has counted, as long as its cursor is where the asker thinks.
--
-- ARGV[1]  msgpack list of {id as decimal string, shard, hour, hour, ...}
-- ARGV[2]  offset of the first record of `posts` that is asked for, "" if it is about none
-- ARGV[3]  cursor that the asker knows to have been stored
-- ARGV[4]  ms since 1970, for people
-- Returns a list of 0 and 1, one for each id, or the stored cursor: if that record was applied,
-- another writer has counted these very records, and each would look like a copy of itself; if the
-- cursor was known to be further, the store went back in time, and copies would look like posts.
-- {2, key, field, found, expected} if it cannot be told, since something cannot be read.

local fields, unreadable = read_cursor(ARGV[4])
if not fields then
  return unreadable
end
local stored = fields['posts'] or -1
local first = tonumber(ARGV[2])
if first and (stored >= first or stored < tonumber(ARGV[3])) then
  return stored
end

local known, wrong = {}, {}
for _, hour in ipairs(redis.call('ZRANGE', p .. 'seen-hours', 0, -1)) do
  if string.find(hour, '^%d+$') then -- to `tonumber` "nan" is a number
    known[tonumber(hour)] = true
  end
end
for _, field in ipairs(redis.call('HKEYS', p .. 'quarantine')) do
  local hour, shard = string.match(field, '^seen|(%d+)|(%d+)$')
  if hour then
    wrong[p .. 'seen:' .. hour .. ':' .. shard] = true
  end
end

local asked = unpack_message(ARGV[1])
local answer = {}
for i, entry in ipairs(asked) do
  answer[i] = 0
  for h = 3, #entry do
    if known[entry[h]] then
      local key = p .. 'seen:' .. entry[h] .. ':' .. entry[2]
      local found = try('SISMEMBER', key, entry[1])
      if is_wrong(found) then
        put_seen_aside(fields, ARGV[4], entry[h], entry[2])
        wrong[key] = true
      end
      if wrong[key] then
        return {2, key, '', 'set aside, as it was of another type (WRONGTYPE)', 'a set of ids'}
      elseif found == 1 then
        answer[i] = 1
        break
      end
    end
  end
end
return answer
