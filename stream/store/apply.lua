-- Apply one batch of one topic of one partition: all of it or nothing.
--
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
--   released                 how many (field, value) pairs of the quarantine follow at the end: a
--                            repair. It is applied if they are as they were read, and moves no
--                            cursor of its own.
--   now                      ms since 1970, for people
--   pane_s, retention_s, kept_horizon_s, seen_horizon_s
-- ARGV[2..] the pairs: Redis 6's cmsgpack reads no msgpack `bin`, and they are not UTF-8.
-- Returns {1, removed, edited, set aside}, {0, stored cursor}, {2, key, field, found, expected} if
-- the partition cannot be read, {3, where, found} if the batch itself is wrong, {4} if a repair
-- comes too late, {5, set aside} if it is to be sent again: what stood in its way is set aside.
--
-- partition.lua, sums.lua and contributions.lua stand before it. First everything is read and worked
-- out, then it is written: Redis takes nothing back when a script fails.

local stored = fields[b.topic] or -1
local is_repair = b.released > 0
for i = #ARGV - 2 * b.released + 1, #ARGV, 2 do
  if redis.call('HGET', p .. 'quarantine', ARGV[i]) ~= ARGV[i + 1] then
    return {4}
  end
end
if is_repair then
  b.expected, b.new = stored, stored
end
if stored ~= b.expected then
  return {0, stored}
end

local hour = math.floor(math.max(watermark, 0) / 3600000)

for _, pane in ipairs(b.panes) do
  touch(pane[1])
  for _, q in ipairs(pane[2]) do
    add_pane(pane[1], q[1], q[2], q[3], 1)
  end
end

-- Contributions, and what overtook them.
local pair = 2
local has_ahead = #b.kept > 0 and redis.call('EXISTS', p .. 'ahead') == 1
for _, group in ipairs(b.kept) do
  local last = pair + 2 * group[2] - 1
  for i = pair, has_ahead and last or 0, 2 do
    local waiting = find_ahead(ARGV[i])
    if waiting then
      local c, id = contribution_of(ARGV[i + 1]), ARGV[i]
      kept_now[id] = {key = p .. 'kept:' .. hour .. ':' .. group[1], blob = ARGV[i + 1], said = c}
      ahead_now[id] = false
      local said = waiting ~= '' and contribution_of(waiting)
      if waiting == '' then
        remove(id)
      elseif said then
        edit(id, waiting, said)
      else
        lose(note, 'ahead|' .. hex(id), 'bytes that are no contribution', 'an edit', waiting)
        redis.call('HDEL', p .. 'ahead', id)
      end
    end
  end
  pair = last + 1
end

-- Deletions and edits, in the order they came.
for i = pair, pair + 2 * b.operations - 1, 2 do
  if ARGV[i + 1] == '' then
    remove(ARGV[i])
  else
    local c = contribution_of(ARGV[i + 1])
    refused = refused or not c and {3, 'an edit', hex(ARGV[i])}
    if c then
      edit(ARGV[i], ARGV[i + 1], c)
    end
  end
end

if refused then
  return refused
elseif #noted > 0 then
  return {5, noted}
end

-- From here on all is written, and no call can fail: those that meet a key of a wrong type set it
-- aside.

local mark = string.format('%s:%d', is_repair and 'repair' or b.topic, is_repair and b.now or b.new)
local call, pack = redis.call, cmsgpack.pack
for i = 1, #written do
  local sum = written[i]
  call('HSET', sum.of.key, sum.query, pack(sum.counters))
  if next(sum.strata) then
    call('HSET', sum.of.strata_key, sum.query, pack(sum.strata))
  else
    call('HDEL', sum.of.strata_key, sum.query)
  end
end
for _, pane in ipairs(b.panes) do
  redis.call('ZADD', p .. 'starts', pane[1], pane[1])
  for _, q in ipairs(pane[2]) do
    local key = p .. 'authors:' .. pane[1] .. ':' .. q[1]
    if is_wrong(try('PFADD', key, unpack(q[4]))) then
      lose(put_authors_aside, pane[1], q[1], 'no HyperLogLog')
      redis.call('PFADD', key, unpack(q[4]))
    end
  end
end
for start in pairs(touched) do
  redis.call('HSET', p .. 'dirty', start, mark)
end

local seen_hour
for _, group in ipairs(b.seen) do
  if group[1] ~= seen_hour then -- nearly every id is a group: most of a batch are of one hour
    seen_hour = group[1]
    redis.call('ZADD', p .. 'seen-hours', seen_hour, seen_hour)
  end
  local key = p .. 'seen:' .. group[1] .. ':' .. group[2]
  if is_wrong(try('SADD', key, unpack(group, 3))) then
    lose(put_seen_aside, group[1], group[2])
    redis.call('SADD', key, unpack(group, 3))
  end
end

pair = 2
if #b.kept > 0 then
  redis.call('ZADD', p .. 'kept-hours', hour, hour)
end
for _, group in ipairs(b.kept) do
  local key = p .. 'kept:' .. hour .. ':' .. group[1]
  local last = pair + 2 * group[2] - 1
  if is_wrong(try('HSET', key, unpack(ARGV, pair, last))) then
    lose(put_kept_aside, key, nil, 'kept|' .. hour .. '|' .. group[1], WRONGTYPE)
    redis.call('HSET', key, unpack(ARGV, pair, last))
  end
  pair = last + 1
end
for id, kept in pairs(kept_now) do
  if kept.blob then
    redis.call('HSET', kept.key, id, kept.blob)
  else
    redis.call('HDEL', kept.key, id)
  end
end

-- What came before its post is due by the clock of whoever said it: events are read faster than
-- posts, so while a store is filled again the watermark is unknown or far behind them.
local said_hour = math.floor(math.max(watermark, b.told, 0) / 3600000)
for id, blob in pairs(ahead_now) do
  if blob then
    redis.call('HSET', p .. 'ahead', id, blob)
    redis.call('ZADD', p .. 'ahead-due', said_hour, id)
  else
    redis.call('HDEL', p .. 'ahead', id)
    redis.call('ZREM', p .. 'ahead-due', id)
  end
end

for i = #ARGV - 2 * b.released + 1, #ARGV, 2 do
  redis.call('HDEL', p .. 'quarantine', ARGV[i])
end
local entries = redis.call('HKEYS', p .. 'quarantine')

-- Forget what is past its horizon; a few at a time, so that no apply is long. A pane that was
-- never published, or changed since, waits for the closer: in a fast replay one partition may be
-- days of event time ahead of another.
local expired = 0
local function forget_noted(kinds, at)
  for _, field in ipairs(entries) do
    local kind, place = string.match(field, '^(%a+)|([^|]+)|')
    if kinds[kind] and place == at then
      expired = expired + redis.call('HDEL', p .. 'quarantine', field)
    end
  end
end

local watermark_s = math.floor(watermark / 1000)
local old = redis.call('ZRANGEBYSCORE', p .. 'starts', '-inf',
  watermark_s - b.retention_s - b.pane_s, 'LIMIT', 0, 8)
for _, start in ipairs(old) do
  local at = string.find(start, '^%-?%d+$') and tonumber(start)
  if at and (at >= closed or redis.call('HEXISTS', p .. 'dirty', start) == 1) then
    break
  end
  for _, query in ipairs(try('HKEYS', p .. 'pane:' .. start)) do
    redis.call('UNLINK', p .. 'authors:' .. start .. ':' .. query)
  end
  redis.call('UNLINK', p .. 'pane:' .. start, p .. 'strata:' .. start)
  redis.call('ZREM', p .. 'starts', start)
  forget_noted({pane = true, authors = true}, start)
  if at then
    redis.call('HSET', cursor_key, 'forgotten', start)
  end
end

local function forget_hours(index, name, shards, horizon_s)
  local hours = redis.call('ZRANGEBYSCORE', p .. index, '-inf',
    math.floor((watermark_s - horizon_s) / 3600) - 1, 'LIMIT', 0, 1)
  for _, h in ipairs(hours) do
    for n = 0, shards - 1 do
      redis.call('UNLINK', p .. name .. ':' .. h .. ':' .. n)
    end
    redis.call('ZREM', p .. index, h)
    forget_noted({[name] = true}, h)
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

-- A partition that is counted anew says so until it has come to where it was.
for _, field in ipairs(entries) do
  local topic, upto = string.match(field, '^rebuild|([%a-]+)|(%d+)$')
  if topic == b.topic and b.new + 1 >= tonumber(upto) then
    redis.call('HDEL', p .. 'quarantine', field)
    for _, start in ipairs(redis.call('ZRANGEBYSCORE', p .. 'starts', '-inf', '(' .. closed)) do
      redis.call('HSET', p .. 'dirty', start, mark)
    end
  end
end

-- Totals, watermark, cursor.
b.totals.removed = (b.totals.removed or 0) + removed
b.totals.edited = (b.totals.edited or 0) + edited
for field, increment in pairs(b.totals) do
  if increment ~= 0 then
    redis.call('HINCRBY', cursor_key, field, increment)
  end
end
if b.new >= 0 or not is_repair then
  redis.call('HSET', cursor_key, b.topic, b.new, 'watermark', string.format('%d', watermark))
end
return {1, removed, edited, noted, expired}
