-- Set contributions aside that a reader could not read, if they are still as the reader found them.
--
-- ARGV[1]  ms since 1970, for people
-- ARGV     name below {p}:, id hash, blob, name, ...; without an id the whole key is meant, and
--          set aside if it is of another type than it should be
-- Returns how many were set aside, or {2, key, field, found, expected} if the partition itself
-- cannot be read.

local fields, unreadable = read_cursor(ARGV[1])
if not fields then
  return unreadable
end
local done = 0
for i = 2, #ARGV, 3 do
  local name, id, blob = unpack(ARGV, i, i + 2)
  local key = p .. name
  local field = string.gsub(name, ':', '|')
  local is_set = string.sub(name, 1, 5) == 'seen:'
  if id == '' and is_wrong(try(is_set and 'SCARD' or 'HLEN', key)) then
    note(fields, ARGV[1], field, WRONGTYPE, is_set and 'a set of ids' or 'contributions of posts')
    put_key_aside(key)
    done = done + 1
  elseif id ~= '' and try('HGET', key, id) == blob then
    local kind = string.match(name, '^%a+')
    local hex = string.gsub(id, '.', function(c) return string.format('%02x', string.byte(c)) end)
    note(fields, ARGV[1], kind .. '|' .. hex, 'bytes that are no contribution', 'one', blob)
    redis.call('HDEL', key, id)
    done = done + 1
  end
end
return done
