-- What the scripts of a partition share; `redis_store` puts it before each of them.
--
-- KEYS[1]  {p}:cursor; every other key has the same hash tag.
-- No script writes before it has read all that it needs: Redis takes nothing back when one fails.

local cursor_key = KEYS[1]
local p = string.sub(cursor_key, 1, -7) -- "{p}:"
local MOST = 9007199254740991 -- from 2^53 on Lua's numbers leave integers out
local DAY_MS = 86400000
local MOST_AUTHORS = 4294967296 -- of one pane; also in pane_reader.py
local RAW_BYTES, RAW_ENTRIES = 4096, 1024
local WRONGTYPE = 'a key of another type (WRONGTYPE)'
local type, pcall, try, unpack_message = type, pcall, redis.pcall, cmsgpack.unpack

-- Name of each fixed key, its type, and a command that tells whether it has it.
local FIXED = {
  {'cursor', 'hash', 'HLEN'}, {'quarantine', 'hash', 'HLEN'}, {'starts', 'zset', 'ZCARD'},
  {'dirty', 'hash', 'HLEN'}, {'seen-hours', 'zset', 'ZCARD'}, {'kept-hours', 'zset', 'ZCARD'},
  {'ahead-due', 'zset', 'ZCARD'},
}

local function escaped(raw)
  return (string.gsub(raw, '[^%w%p ]', function(c) return string.format('\\x%02x', string.byte(c)) end))
end

-- Tell whether a call met a value of the wrong type; what else went wrong (no memory) is raised.
local function is_wrong(answer)
  if type(answer) ~= 'table' or not answer.err then
    return false
  end
  if not string.find(answer.err, 'WRONGTYPE') and not string.find(answer.err, 'INVALIDOBJ') then
    error(answer.err)
  end
  return true
end

-- A count of authors is kept beside the registers, and may be anything.
local function is_wrong_count(answer)
  return is_wrong(answer) or answer > MOST_AUTHORS
end

-- Note under `field` of the quarantine what is set aside, and the cursors up to which the rest of
-- the state had been counted: whoever rebuilds it adds exactly what these cursors had brought.
local noted = {} -- names of what this call has set aside
local function note(fields, now, field, found, expected, raw)
  noted[#noted + 1] = field
  local quarantine = p .. 'quarantine'
  if raw and redis.call('HLEN', quarantine) >= RAW_ENTRIES then
    raw = ''
  end
  redis.call('HSET', quarantine, field, cjson.encode({
    at = tonumber(now), posts = fields['posts'] or -1, events = fields['post-events'] or -1,
    found = found, expected = expected, raw = escaped(string.sub(raw or '', 1, RAW_BYTES)),
  }))
end

-- Set a whole key aside under a name of its own; of several with the same name the last is kept.
local function put_key_aside(key)
  if redis.call('EXISTS', key) == 1 then
    redis.call('RENAME', key, p .. 'aside:' .. string.sub(key, #p + 1))
  end
end

-- The fields of the cursor at `now` (ms since 1970), or {2, key, field, found, expected}: what of the partition's fixed keys
-- cannot be read, so that nothing can be done about the partition.
local function read_cursor(now)
  for _, one in ipairs(FIXED) do
    if is_wrong(try(one[3], p .. one[1])) then
      local found = redis.call('TYPE', p .. one[1]).ok
      return nil, {2, p .. one[1], '', 'a ' .. found .. ' (WRONGTYPE)', 'a ' .. one[2]}
    end
  end
  local fields, flat = {}, redis.call('HGETALL', cursor_key)
  for i = 1, #flat, 2 do
    local value = string.find(flat[i + 1], '^%-?%d+$') and tonumber(flat[i + 1])
    if not value or value > MOST or value < -MOST then
      return nil, {2, cursor_key, flat[i], string.sub(flat[i + 1], 1, 64), 'an integer'}
    elseif value < -1 and (flat[i] == 'posts' or flat[i] == 'post-events') then
      return nil, {2, cursor_key, flat[i], flat[i + 1], 'an offset'}
    end
    fields[flat[i]] = value
  end
  for name, unit in pairs({watermark = 1, closed = 1000, forgotten = 1000}) do
    if (fields[name] or 0) * unit > tonumber(now) + DAY_MS then
      return nil, {2, cursor_key, name, fields[name] .. ', a time to come', 'one until tomorrow'}
    end
  end
  if is_wrong(try('HLEN', p .. 'ahead')) then
    note(fields, now, 'ahead|*', WRONGTYPE, 'a hash')
    put_key_aside(p .. 'ahead')
  end
  return fields
end

-- Noted first: without memory for the note nothing is set aside.
--
-- Set the share of one query in a pane aside, or that of all of them ("*"): counters and strata.
local function put_pane_aside(fields, now, start, query, found)
  local key, strata_key = p .. 'pane:' .. start, p .. 'strata:' .. start
  if query == '*' then
    note(fields, now, 'pane|' .. start .. '|*', found, 'hashes of counters and strata')
    put_key_aside(key)
    put_key_aside(strata_key)
    return
  end
  local raw = (redis.call('HGET', key, query) or '') .. ' / ' .. (redis.call('HGET', strata_key, query) or '')
  note(fields, now, 'pane|' .. start .. '|' .. query, found, 'integers within 2^53', raw)
  redis.call('HDEL', key, query)
  redis.call('HDEL', strata_key, query)
end

local function put_authors_aside(fields, now, start, query, found)
  note(fields, now, 'authors|' .. start .. '|' .. query, found, 'a HyperLogLog')
  put_key_aside(p .. 'authors:' .. start .. ':' .. query)
end

-- Of the ids of an hour's shard: until they are known again nobody can say who was counted.
local function put_seen_aside(fields, now, hour, shard)
  note(fields, now, 'seen|' .. hour .. '|' .. shard, WRONGTYPE, 'a set of ids')
  put_key_aside(p .. 'seen:' .. hour .. ':' .. shard)
end
