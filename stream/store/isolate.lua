-- Set aside what a reader of panes could not read, if it is still there as the reader found it.
--
-- ARGV[1]  ms since 1970, for people
-- ARGV     start, query, why, counters, strata (as they were read), start, ...; without counters
--          and strata it was the authors, or with the query "*" a whole key of another type
-- Returns how many were set aside, or {2, key, field, found, expected} if the partition itself
-- cannot be read.

local fields, unreadable = read_cursor(ARGV[1])
if not fields then
  return unreadable
end
local done = 0
for i = 2, #ARGV, 5 do
  local start, query, why, counters, strata = unpack(ARGV, i, i + 4)
  local pane, of_strata = p .. 'pane:' .. start, p .. 'strata:' .. start
  local is_wrong = false
  if query == '*' and counters == '' and strata == '' then
    for _, key in ipairs({pane, of_strata}) do
      local found = redis.call('TYPE', key).ok
      is_wrong = is_wrong or found ~= 'hash' and found ~= 'none'
    end
  elseif counters == '' and strata == '' then
    if is_wrong_count(try('PFCOUNT', p .. 'authors:' .. start .. ':' .. query)) then
      put_authors_aside(fields, ARGV[1], start, query, why)
      done = done + 1
    end
  else
    is_wrong = (try('HGET', pane, query) or '') == counters
      and (try('HGET', of_strata, query) or '') == strata
  end
  if is_wrong then
    put_pane_aside(fields, ARGV[1], start, query, why)
    done = done + 1
  end
end
return done
