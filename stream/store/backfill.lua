-- Add what posts of the past say of one query, all of it or nothing; stands after contributions.lua.
--
-- ARGV[1]  msgpack map, built by stream/store/backfill.py:
--   query                    the query that is given its past
--   expected, new            its stored position to compare and the one to set, as text
--   posts                    list of {start, author or "", counts, stratum, counters}
--   upto                     offset in `posts` of the last of them: it must have been applied
--   trusts                   true: a contribution that differs from what is expected is right
--   events                   offset in `post-events` up to which what is said of them was looked up
--   watermark, now, kept_shards   as for the apply; the watermark is -1
-- ARGV[2..] id hash of each post
-- Returns {1, added}, {0, stored position}, {2, ...} and {3, ...} as the apply, {4, why} if the posts
-- are to be looked at again, {5, set aside} if something in its way cannot be read.

local stored = redis.call('HGET', p .. 'backfill', b.query) or ''
if stored ~= b.expected then
  return {0, stored}
end
for _, field in ipairs(redis.call('HKEYS', p .. 'quarantine')) do
  if not string.find(field, '^seen|') then
    return {5, {field}}
  end
end
if b.upto > (fields['posts'] or -1) then
  return {4, 'posts'}
elseif (fields['post-events'] or -1) > b.events then
  return {4, 'events'}
end

local authors, order, added = {}, {}, 0

local function is_same(c, post)
  if c[2] ~= post[4] or #c[3] ~= #post[5] then
    return false
  end
  for i = 1, #c[3] do
    if c[3][i] ~= post[5][i] then
      return false
    end
  end
  return true
end

local function has_query(c)
  for i = 1, #c[4] do
    if c[4][i] == b.query then
      return true
    end
  end
  return false
end

local function add(start, stratum, counters)
  add_pane(start, b.query, counters,
    {[stratum] = {counters[1], counters[2], counters[3], counters[4]}}, 1)
  touch(start)
  added = added + 1
end

for i, post in ipairs(b.posts) do
  local start, id = post[1], ARGV[i + 1]
  if pane_exists(start) then
    if post[2] ~= '' then
      local zeros = {}
      for n = 1, #post[5] do
        zeros[n] = 0
      end
      add_pane(start, b.query, zeros, {}, 1)
      touch(start)
      if not authors[start] then
        authors[start] = {}
        order[#order + 1] = start
      end
      table.insert(authors[start], post[2])
    end
    if post[3] then
      local kept = find_kept(id)
      if not kept then
        -- Forgotten, since all that was taken away is known.
        add(start, post[4], post[5])
      elseif not has_query(kept.said) then
        if not (b.trusts or is_same(kept.said, post)) then
          return {4, 'contribution'}
        end
        add(kept.said[1], kept.said[2], kept.said[3])
        table.insert(kept.said[4], b.query)
        kept.blob, kept.is_new = cmsgpack.pack(kept.said), true
      end
    end
  end
end

if refused then
  return refused
elseif #noted > 0 then
  return {5, noted}
end

-- From here on all is written.

local mark = string.format('backfill:%s:%d', b.query, b.now)
for i = 1, #written do
  local sum = written[i]
  redis.call('HSET', sum.of.key, sum.query, cmsgpack.pack(sum.counters))
  if next(sum.strata) then
    redis.call('HSET', sum.of.strata_key, sum.query, cmsgpack.pack(sum.strata))
  end
end
for _, start in ipairs(order) do
  local key = p .. 'authors:' .. start .. ':' .. b.query
  if is_wrong(try('PFADD', key, unpack(authors[start]))) then
    lose(put_authors_aside, start, b.query, 'no HyperLogLog')
    redis.call('PFADD', key, unpack(authors[start]))
  end
end
for start in pairs(touched) do
  redis.call('HSET', p .. 'dirty', start, mark)
end
for id, kept in pairs(kept_now) do
  if kept.is_new then
    redis.call('HSET', kept.key, id, kept.blob)
  end
end
redis.call('HSET', p .. 'backfill', b.query, b.new)
return {1, added}
