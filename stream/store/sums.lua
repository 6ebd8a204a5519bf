-- The sums of panes as they will be, worked out before anything is written; second part of the apply.
--
-- What is stored may be anything: a share that cannot be read is set aside at once, which changes no
-- number that can be read, and the batch is to be sent again.

local b = unpack_message(ARGV[1])
local fields, unreadable = read_cursor(b.now)
if not fields then
  return unreadable
end
local watermark = math.max(fields['watermark'] or -1, b.watermark)
local closed = fields['closed'] or -1

local function lose(put_aside, ...)
  put_aside(fields, b.now, ...)
end

local WRONG = {} -- raised where a number is no integer within 2^53
local function add_array(into, values, sign, known)
  for i = 1, #values do
    local old = into[i]
    if not old then
      if i <= known then
        error(WRONG)
      end
      old = 0
    end
    local new = old + sign * values[i]
    if not (old <= MOST and new <= MOST and new >= -MOST and new % 1 == 0) then
      error(WRONG)
    end
    into[i] = new
  end
end

local sums, written = {}, {} -- start -> query -> what is written; the same in order

-- How many values an array says that it has; nil if the bytes are no array.
local function length_of(packed)
  local first, second, third = string.byte(packed, 1, 3)
  if first and first >= 0x90 and first <= 0x9f then
    return first - 0x90
  elseif first == 0xdc and third then
    return second * 256 + third
  end
end

local function is_map(packed)
  local first = string.byte(packed, 1)
  return first and (first >= 0x80 and first <= 0x8f or first == 0xde)
end

local function read_pane(start, query, key, strata_key)
  local counters, strata = try('HGET', key, query), try('HGET', strata_key, query)
  if is_wrong(counters) or is_wrong(strata) then
    lose(put_pane_aside, start, '*', WRONGTYPE)
    return {}, {}, 0
  end
  local is_right, found, by_name, more = true, {}, {}, nil
  local known = 0
  if counters then
    known = length_of(counters) or 0
    is_right, found, more = pcall(unpack_message, counters)
    is_right = is_right and known > 0 and more == nil
  end
  if is_right and strata then -- never without counters
    is_right, by_name, more = pcall(unpack_message, strata)
    is_right = is_right and counters and is_map(strata) and more == nil
  end
  if not is_right then
    lose(put_pane_aside, start, query, 'bytes that are no counters')
    return {}, {}, 0
  end
  return found, by_name, known
end

local function sum_of(start, query)
  local of_start = sums[start]
  if not of_start then
    of_start = {key = p .. 'pane:' .. start, strata_key = p .. 'strata:' .. start, by_query = {}}
    sums[start] = of_start
  end
  local sum = of_start.by_query[query]
  if not sum then
    sum = {of = of_start, query = query}
    of_start.by_query[query] = sum
    written[#written + 1] = sum
    sum.counters, sum.strata, sum.known =
      read_pane(start, query, of_start.key, of_start.strata_key)
  end
  return sum
end

local function add_all(sum, counters, strata, sign)
  add_array(sum.counters, counters, sign, sum.known)
  local by_name = sum.strata
  for name, values in pairs(strata) do
    local row, width = by_name[name], 4
    if not row then
      row, width = {}, 0
      by_name[name] = row
    end
    add_array(row, values, sign, width)
    -- All four: where the pane was set aside, what is left of it may add up to no posts.
    if row[1] == 0 and row[2] == 0 and row[3] == 0 and row[4] == 0 then
      by_name[name] = nil
    end
  end
end

local refused
local function refuse(where, counters, strata)
  local function look(name, values)
    for i = 1, type(values) == 'table' and #values or 0 do
      local value = values[i]
      if type(value) ~= 'number' or value % 1 ~= 0 or value > MOST or value < -MOST then
        refused = refused or {3, where .. ', ' .. name .. ' ' .. i, tostring(value)}
      end
    end
  end
  look('counter', counters)
  for name, values in pairs(strata) do
    look('stratum ' .. name .. ', counter', values)
  end
  return refused
end

-- Add to a pane. What was wrong, if anything, is the increment (the batch is refused) or the pane.
local function add_pane(start, query, counters, strata, sign)
  local sum = sum_of(start, query)
  if not pcall(add_all, sum, counters, strata, sign)
    and not refuse('pane ' .. start .. ' of ' .. query, counters, strata) then
    lose(put_pane_aside, start, query, 'numbers that are no integers within 2^53')
    sum.counters, sum.strata, sum.known = {}, {}, 0
  end
end

local touched = {}
local function touch(start)
  if start < closed then
    touched[start] = true
  end
end
