-- Shared by all scripts: clock, header, enqueueing.
-- One reading a script: its effects are one instant.
local now_read
local function now_us()
  if not now_read then
    local t = redis.call('TIME')
    now_read = t[1] * 1000000 + t[2]
  end
  return now_read
end

-- Scores are written as whole digits: Lua's own number form would round microseconds.
local function digits(n)
  return string.format('%.0f', n)
end

local function is_terminal(state)
  return state == 'S' or state == 'F' or state == 'C'
end

-- Whether this build reads a record's layout.
local function is_known(record)
  local layout = string.byte(record)
  return layout == 50 or layout == 49
end

-- What this script has put into the due sets `c` and `d`; see `wake`.
local added = {c = {}, d = {}}

-- Enqueues what follows: 'n' nothing, 'r' ready now, 'd' due after `delay_us`. `step` is the step's word. A script that
-- enqueues calls `wake` before it ends.
local function enqueue(p, kind, step, id, epoch, delay_us)
  if kind == 'n' then
    return
  end
  if step == 'check' then
    local delay = kind == 'd' and tonumber(delay_us) or 0
    redis.call('ZADD', p .. 'c', digits(now_us() + delay), id)
    added.c[id] = true
  elseif kind == 'r' then
    redis.call('XADD', p .. 's:' .. step, '*', 'j', id, 'e', epoch)
  else
    local member = step .. ':' .. id
    redis.call('ZADD', p .. 'd', digits(now_us() + tonumber(delay_us)), member)
    added.d[member] = true
  end
end

-- Wakes the sleeping clock of a due set whose head this script has put there, if none has been told yet. Once a
-- script: what counts is the head that it leaves.
local function wake(p)
  for name, members in pairs(added) do
    if next(members) then
      local head = redis.call('ZRANGE', p .. name, 0, 0)[1]
      if members[head] and redis.call('LLEN', p .. 'w' .. name) == 0 then
        redis.call('RPUSH', p .. 'w' .. name, '1')
      end
    end
  end
end
