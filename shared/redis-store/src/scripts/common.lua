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

-- A delivery that may begin stands in the due set `v` before all times, by when the links to its results end.
local BEFORE_ALL_US = 8e15

-- What this script puts into the due sets, as scores and members; see `wake`.
local added = {c = {}, d = {}, v = {}}

local function schedule(name, score, member)
  local list = added[name]
  list[#list + 1] = digits(score)
  list[#list + 1] = member
end

-- Enqueues what follows: 'n' nothing, 'r' ready now, 'd' due after `delay_us`. `lane` is the step's; that of a delivery
-- is `deliver@` and the second in which its links end. A script that enqueues calls `wake` before it ends,
-- which is when the due sets are filled.
local function enqueue(p, kind, lane, id, epoch, delay_us)
  if kind == 'n' then
    return
  end
  if lane == 'check' then
    local delay = kind == 'd' and tonumber(delay_us) or 0
    schedule('c', now_us() + delay, id)
  elseif kind == 'r' and string.sub(lane, 1, 7) == 'deliver' then
    -- An earlier version did not say when; an hour is what most links have.
    local end_us = (tonumber(string.sub(lane, 9)) or math.floor(now_us() / 1000000) + 3600) * 1000000
    schedule('v', end_us - BEFORE_ALL_US, id)
  elseif kind == 'r' then
    redis.call('XADD', p .. 's:' .. lane, '*', 'j', id, 'e', epoch)
  else
    schedule('d', now_us() + tonumber(delay_us), lane .. ':' .. id)
  end
end

-- Holds a job back under a pause: it stands with it, and in the due set for the end of its time to start. A pause that
-- has ended meanwhile holds nobody.
local function park(p, scope, lane, id, epoch, delay_us)
  if redis.call('HEXISTS', p .. 'z', scope) == 0 then
    return enqueue(p, 'r', lane, id, epoch)
  end
  enqueue(p, 'd', lane, id, epoch, delay_us)
  redis.call('ZADD', p .. 'k:' .. scope, digits(now_us()), lane .. ':' .. id)
end

-- The workspaces that somebody listens to, as far as this script has asked; `false` when there are none at all.
local heard

-- Whether somebody listens to any workspace: a script asks once.
local function is_any_heard(p)
  if heard == nil then
    heard = redis.call('EXISTS', p .. 'tm') == 1 and {}
  end
  return heard
end

-- Whether somebody listens to a workspace.
local function is_heard(p, workspace)
  if not is_any_heard(p) then
    return false
  end
  if heard[workspace] == nil then
    local until_ms = redis.call('HGET', p .. 'tm', workspace)
    heard[workspace] = until_ms and tonumber(until_ms) * 1000 > now_us() or false
  end
  return heard[workspace]
end

-- Tells a change of a job to those who listen to its workspace. `header` has at least the header's text; `facts` are
-- opaque here.
local function tell(p, workspace, id, header, facts)
  if is_heard(p, workspace) then
    local key = p .. 't:' .. workspace
    redis.call('XADD', key, 'MAXLEN', '~', 10000, '*', 'j', id, 'h', string.sub(header, 1, 47), 'f', facts)
    if heard[workspace] == true then
      -- The first of this script: a new stream has no end of its life yet.
      redis.call('EXPIRE', key, 3600)
      heard[workspace] = 1
    end
  end
end

-- Leaves a token for who sleeps until a member of a due set is due, unless one lies there.
local function ring(p, name)
  if redis.call('LLEN', p .. 'w' .. name) == 0 then
    redis.call('RPUSH', p .. 'w' .. name, '1')
  end
end

-- Fills the due sets, each by one call, and wakes who sleeps over one whose head this script has put there. Deliveries
-- are due in any place of theirs.
local function wake(p)
  for name, list in pairs(added) do
    if #list > 0 then
      redis.call('ZADD', p .. name, unpack(list))
      local head = name ~= 'v' and redis.call('ZRANGE', p .. name, 0, 0)[1]
      local is_ahead = name == 'v'
      for i = 2, #list, 2 do
        is_ahead = is_ahead or list[i] == head
      end
      if is_ahead then
        ring(p, name)
      end
    end
  end
end

-- What this script enters into the indexes of assets, as times and ids; see `list_assets`.
local listed = {}

local function enter_assets(index, list)
  redis.call('ZADD', index, unpack(list))
end

-- Keeps the record of an asset for so many milliseconds, '0' for ever. A script that does calls `list_assets` before it
-- ends: a batch costs one command an index, or one for each thousand assets, which is what `unpack` can take.
local function keep_asset(p, workspace, kept_ms, id, created_ms, json)
  if kept_ms == '0' then
    redis.call('SET', p .. 'a:' .. id, json)
  else
    redis.call('SET', p .. 'a:' .. id, json, 'PX', kept_ms)
  end
  local list = listed[workspace]
  if not list or #list >= 2000 then
    if list then
      enter_assets(p .. 'e:' .. workspace, list)
    end
    list = {}
    listed[workspace] = list
  end
  list[#list + 1] = created_ms
  list[#list + 1] = id
end

local function list_assets(p)
  for workspace, list in pairs(listed) do
    enter_assets(p .. 'e:' .. workspace, list)
  end
end
