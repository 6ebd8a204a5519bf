-- What posts have added, and what is to happen to it, as it will be; third part of the apply.

-- A contribution is {start, stratum, counters, queries}: what one post added, to each of its queries.
-- Types are looked at one by one: to Lua's arithmetic "60" is a number, and a map may be a list.
local function is_integer(value)
  return type(value) == 'number' and value % 1 == 0 and value <= MOST and value >= -MOST
end

local function are_all(values, is_one, fewest)
  local count = 0
  for _ in pairs(type(values) == 'table' and values or {}) do
    count = count + 1
    if not is_one(values[count]) then
      return false
    end
  end
  return count >= fewest
end

local function is_name(value)
  return type(value) == 'string'
end

local function contribution_of(blob)
  local is_right, c, more = pcall(unpack_message, blob)
  if is_right and more == nil and length_of(blob) == 4 and is_integer(c[1])
    and is_name(c[2]) and string.find(c[2], '^[^|]*|[^|]*|[^|]*$')
    and are_all(c[3], is_integer, 4) and are_all(c[4], is_name, 1) then
    return c
  end
end

local function apply_contribution(c, sign)
  local strata = {[c[2]] = {c[3][1], c[3][2], c[3][3], c[3][4]}}
  for i = 1, #c[4] do
    add_pane(c[1], c[4][i], c[3], strata, sign)
  end
  touch(c[1])
end

local function hex(id)
  return (string.gsub(id, '.', function(c) return string.format('%02x', string.byte(c)) end))
end

local kept_now, ahead_now = {}, {} -- id -> {key, blob}, id -> blob; a blob of false is removed
local kept_hours

local function put_kept_aside(_, _, key, id, field, found)
  note(fields, b.now, field, found, 'contributions of posts', id and redis.call('HGET', key, id))
  if id then
    redis.call('HDEL', key, id)
  else
    put_key_aside(key)
  end
end

local function find_kept(id)
  local known = kept_now[id]
  if known then
    return known.blob and known
  end
  kept_hours = kept_hours or redis.call('ZRANGE', p .. 'kept-hours', 0, -1)
  local shard = (string.byte(id, 1) * 256 + string.byte(id, 2)) % b.kept_shards
  for i = #kept_hours, 1, -1 do
    local key = p .. 'kept:' .. kept_hours[i] .. ':' .. shard
    local blob = try('HGET', key, id)
    if is_wrong(blob) then
      lose(put_kept_aside, key, nil, 'kept|' .. kept_hours[i] .. '|' .. shard, WRONGTYPE)
    elseif blob then
      local c = contribution_of(blob)
      if not c then
        -- As if the post had not come: what is asked of it waits until it is known again.
        lose(put_kept_aside, key, id, 'kept|' .. hex(id), 'bytes that are no contribution')
        return
      end
      kept_now[id] = {key = key, blob = blob, said = c}
      return kept_now[id]
    end
  end
end

local function find_ahead(id)
  if ahead_now[id] == nil then
    ahead_now[id] = redis.call('HGET', p .. 'ahead', id)
  end
  return ahead_now[id]
end

local function put_ahead(id, blob)
  -- A deletion stands: an edit that comes after it is of no consequence.
  if blob == '' or find_ahead(id) ~= '' then
    ahead_now[id] = blob
  end
end

local function pane_exists(start)
  return sums[start] or redis.call('ZSCORE', p .. 'starts', start)
end

local removed, edited = 0, 0

local function remove(id)
  local kept = find_kept(id)
  if not kept then
    put_ahead(id, '')
    return
  end
  kept.blob = false
  if pane_exists(kept.said[1]) then
    apply_contribution(kept.said, -1)
    removed = removed + 1
  end
end

local function edit(id, blob, c)
  local kept = find_kept(id)
  if not kept then
    put_ahead(id, blob)
  elseif pane_exists(kept.said[1]) then
    -- The post keeps its own pane: an edit changes what was said, not when.
    c[1] = kept.said[1]
    apply_contribution(kept.said, -1)
    apply_contribution(c, 1)
    kept.said, kept.blob = c, cmsgpack.pack(c)
    edited = edited + 1
  end
end
