-- Apply one batch of one topic of one partition: all of it or nothing.
--
-- KEYS[1]  {p}:cursor; every other key has the same hash tag.
-- ARGV[1]  msgpack map, built by stream/store/increments.py:
--   topic, expected, new     the cursor to compare and the one to set
--   watermark                ms since 1970, or -1: never lowers the stored one
--   told                     latest ingest time of its events, ms since 1970, or -1
--   panes                    list of {start, {{query, counters, strata, authors}, ...}}
--   seen                     list of {hour, shard, id, id, ...}       ids as decimal strings
--   kept                     list of {shard, how many}, each an (id hash, blob) pair of ARGV
--   operations               how many (id hash, blob) pairs of ARGV follow those of kept;
--                            an empty blob deletes, another replaces
--   totals                   map field -> increment
--   pane_s, retention_s, kept_horizon_s, seen_horizon_s
-- ARGV[2..] the pairs: Redis 6's cmsgpack reads no msgpack `bin`, and they are not UTF-8.
-- Returns {1, removed, edited} or {0, stored cursor}.

local cursor_key = KEYS[1]
local p = string.sub(cursor_key, 1, -7) -- "{p}:"
local b = cmsgpack.unpack(ARGV[1])

local stored = tonumber(redis.call('HGET', cursor_key, b.topic) or '-1')
if stored ~= b.expected then
  return {0, stored}
end

local HOUR_MS = 3600000
local watermark = tonumber(redis.call('HGET', cursor_key, 'watermark') or '-1')
if b.watermark > watermark then
  watermark = b.watermark
end
local closed = tonumber(redis.call('HGET', cursor_key, 'closed') or '-1')
local hour = math.floor(math.max(watermark, 0) / HOUR_MS)

local function add_array(into, values, sign)
  for i = 1, #values do
    into[i] = (into[i] or 0) + sign * values[i]
  end
end

-- The mark differs with every apply: the closer takes it off only if nothing changed since it read.
local mark = b.topic .. ':' .. string.format('%d', b.new)
local function touch(start)
  if start < closed then
    redis.call('HSET', p .. 'dirty', start, mark)
  end
end

-- Add counters and strata of one query to a pane. A pane is one value per query: a packed array of
-- integers costs a fifth of what a hash field per counter does.
local function add_pane(start, query, counters, strata, sign)
  local key = p .. 'pane:' .. start
  local packed = redis.call('HGET', key, query)
  local total = packed and cmsgpack.unpack(packed) or {}
  add_array(total, counters, sign)
  redis.call('HSET', key, query, cmsgpack.pack(total))

  local strata_key = p .. 'strata:' .. start
  packed = redis.call('HGET', strata_key, query)
  local by_name = packed and cmsgpack.unpack(packed) or {}
  for name, values in pairs(strata) do
    local row = by_name[name] or {}
    add_array(row, values, sign)
    by_name[name] = row
    if row[1] == 0 then
      by_name[name] = nil
    end
  end
  if next(by_name) then
    redis.call('HSET', strata_key, query, cmsgpack.pack(by_name))
  else
    redis.call('HDEL', strata_key, query)
  end
end

-- A contribution is {start, stratum, counters, queries}: what one post added, to each of its queries.
local function apply_contribution(c, sign)
  for i = 1, #c[4] do
    add_pane(c[1], c[4][i], c[3], {[c[2]] = {c[3][1], c[3][2], c[3][3], c[3][4]}}, sign)
  end
  touch(c[1])
end

local function shard_of(id)
  return (string.byte(id, 1) * 256 + string.byte(id, 2)) % b.kept_shards
end

local function find_kept(id)
  local hours = redis.call('ZRANGE', p .. 'kept-hours', 0, -1)
  for i = #hours, 1, -1 do
    local key = p .. 'kept:' .. hours[i] .. ':' .. shard_of(id)
    local blob = redis.call('HGET', key, id)
    if blob then
      return key, blob
    end
  end
end

local function pane_exists(start)
  return redis.call('ZSCORE', p .. 'starts', start)
end

-- What came before its post is due by the clock of whoever said it: events are read faster than
-- posts, so while a store is filled again the watermark is unknown or far behind them.
local said_hour = math.floor(math.max(watermark, b.told, 0) / HOUR_MS)
local function put_ahead(id, blob)
  -- A deletion stands: an edit that comes after it is of no consequence.
  if blob == '' or redis.call('HGET', p .. 'ahead', id) ~= '' then
    redis.call('HSET', p .. 'ahead', id, blob)
    redis.call('ZADD', p .. 'ahead-due', said_hour, id)
  end
end

local removed, edited = 0, 0

local function remove(id)
  local key, blob = find_kept(id)
  if not key then
    put_ahead(id, '')
    return
  end
  redis.call('HDEL', key, id)
  local c = cmsgpack.unpack(blob)
  if pane_exists(c[1]) then
    apply_contribution(c, -1)
    removed = removed + 1
  end
end

local function edit(id, blob)
  local key, old_blob = find_kept(id)
  if not key then
    put_ahead(id, blob)
    return
  end
  local old, new = cmsgpack.unpack(old_blob), cmsgpack.unpack(blob)
  if not pane_exists(old[1]) then
    return
  end
  -- The post keeps its own pane: an edit changes what was said, not when.
  new[1] = old[1]
  apply_contribution(old, -1)
  apply_contribution(new, 1)
  redis.call('HSET', key, id, cmsgpack.pack(new))
  edited = edited + 1
end

-- 1. panes
for _, pane in ipairs(b.panes) do
  local start = pane[1]
  redis.call('ZADD', p .. 'starts', start, start)
  touch(start)
  for _, q in ipairs(pane[2]) do
    add_pane(start, q[1], q[2], q[3], 1)
    redis.call('PFADD', p .. 'authors:' .. start .. ':' .. q[1], unpack(q[4]))
  end
end

-- 2. ids seen
local seen_hour
for _, group in ipairs(b.seen) do
  if group[1] ~= seen_hour then -- nearly every id is a group: most of a batch are of one hour
    seen_hour = group[1]
    redis.call('ZADD', p .. 'seen-hours', seen_hour, seen_hour)
  end
  redis.call('SADD', p .. 'seen:' .. group[1] .. ':' .. group[2], unpack(group, 3))
end

-- 3. contributions, and what overtook them
local pair = 2
local function meet(id)
  local waiting = redis.call('HGET', p .. 'ahead', id)
  if not waiting then
    return
  end
  redis.call('HDEL', p .. 'ahead', id)
  redis.call('ZREM', p .. 'ahead-due', id)
  if waiting == '' then
    remove(id)
  else
    edit(id, waiting)
  end
end

if #b.kept > 0 then
  redis.call('ZADD', p .. 'kept-hours', hour, hour)
  local has_ahead = redis.call('EXISTS', p .. 'ahead') == 1
  for _, group in ipairs(b.kept) do
    local key = p .. 'kept:' .. hour .. ':' .. group[1]
    local last = pair + 2 * group[2] - 1
    redis.call('HSET', key, unpack(ARGV, pair, last))
    if has_ahead then
      for i = pair, last, 2 do
        meet(ARGV[i])
      end
    end
    pair = last + 1
  end
end

-- 4. deletions and edits, in the order they came
for i = pair, pair + 2 * b.operations - 1, 2 do
  if ARGV[i + 1] == '' then
    remove(ARGV[i])
  else
    edit(ARGV[i], ARGV[i + 1])
  end
end

-- 5. forget what is past its horizon; a few at a time, so that no apply is long. A pane that was
-- never published, or changed since, waits for the closer: in a fast replay one partition may be
-- days of event time ahead of another.
local watermark_s = math.floor(watermark / 1000)
local old = redis.call('ZRANGEBYSCORE', p .. 'starts', '-inf',
  watermark_s - b.retention_s - b.pane_s, 'LIMIT', 0, 8)
for _, start in ipairs(old) do
  if tonumber(start) >= closed or redis.call('HEXISTS', p .. 'dirty', start) == 1 then
    break
  end
  for _, query in ipairs(redis.call('HKEYS', p .. 'pane:' .. start)) do
    redis.call('UNLINK', p .. 'authors:' .. start .. ':' .. query)
  end
  redis.call('UNLINK', p .. 'pane:' .. start, p .. 'strata:' .. start)
  redis.call('ZREM', p .. 'starts', start)
  redis.call('HSET', cursor_key, 'forgotten', start)
end

local function forget_hours(index, name, shards, horizon_s)
  local hours = redis.call('ZRANGEBYSCORE', p .. index, '-inf',
    math.floor((watermark_s - horizon_s) / 3600) - 1, 'LIMIT', 0, 1)
  for _, h in ipairs(hours) do
    for n = 0, shards - 1 do
      redis.call('UNLINK', p .. name .. ':' .. h .. ':' .. n)
    end
    redis.call('ZREM', p .. index, h)
  end
end
forget_hours('seen-hours', 'seen', b.seen_shards, b.seen_horizon_s)
forget_hours('kept-hours', 'kept', b.kept_shards, b.kept_horizon_s)

local due = redis.call('ZRANGEBYSCORE', p .. 'ahead-due', '-inf',
  math.floor((watermark_s - b.kept_horizon_s) / 3600) - 1, 'LIMIT', 0, 100)
for _, id in ipairs(due) do
  redis.call('HDEL', p .. 'ahead', id)
  redis.call('ZREM', p .. 'ahead-due', id)
end

-- 6. totals, watermark, cursor
b.totals.removed = (b.totals.removed or 0) + removed
b.totals.edited = (b.totals.edited or 0) + edited
for field, increment in pairs(b.totals) do
  if increment ~= 0 then
    redis.call('HINCRBY', cursor_key, field, increment)
  end
end
redis.call('HSET', cursor_key, b.topic, b.new, 'watermark', string.format('%d', watermark))
return {1, removed, edited}
