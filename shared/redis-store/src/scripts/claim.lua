-- Claims messages of the lanes of one queue: raises epoch and deliveries, gives the records as they were before.
-- KEYS the lanes' streams; which comes first is read first
-- ARGV 1 prefix, 2 group, 3 consumer, 4 step, 5 mode, 6 count, then by mode:
--   read                          new messages
--   given   lane entry id epoch.. messages that a blocking read has brought, each with the number of its stream; what
--                                 is more than `count` is put back
--   recover lease_ms suspects     messages whose holder gave no sign for a lease; `suspects` 1 = one that was already
--                                 redelivered may be taken, alone
-- Gives {more suspects wait, scopes of pauses, lane, entry, id, record, lane, entry, id, record, ...}
--
-- A message fits its record when record.epoch == message.epoch + deliveries: every claim raises both numbers, and
-- whatever else changes a job raises the epoch alone, so that older messages fit no more (INV-9).
local p, group, consumer, step, mode = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local count = tonumber(ARGV[6])
local gone, suspects_left = {}, 0
local out = {0, {}}

local function forget(lane, entry)
  gone[lane] = gone[lane] or {}
  table.insert(gone[lane], entry)
end

-- Jobs that this script has claimed: what was read of them is no longer so.
local claimed = {}

-- Claims one message, or drops it when it fits its record no more.
local function claim(lane, entry, id, epoch, record)
  if not record or claimed[id] then
    forget(lane, entry)
    return
  end
  if not is_known(record) then
    -- Left to its lease, without a mark: a build that can read it will come.
    return
  end
  local held = tonumber(string.sub(record, 3, 10), 16)
  local deliveries = tonumber(string.sub(record, 11, 14), 16)
  if held ~= tonumber(epoch, 16) + deliveries
    or (step ~= 'abandon' and is_terminal(string.sub(record, 2, 2))) then
    forget(lane, entry)
    return
  end
  local mark = string.format('%08x%04x', held + 1, math.min(deliveries + 1, 65535))
  redis.call('SETRANGE', p .. 'j:' .. id, 2, mark)
  claimed[id] = true
  out[#out + 1] = lane
  out[#out + 1] = entry
  out[#out + 1] = id
  out[#out + 1] = record
end

-- The records of jobs, by one call: a call costs about as much as what it does here.
local function records_of(ids)
  local keys = {}
  for i = 1, #ids do
    keys[i] = p .. 'j:' .. ids[i]
  end
  return #keys > 0 and redis.call('MGET', unpack(keys)) or {}
end

-- Claims at most `count` messages that nobody has read.
local function read(lane, count)
  local stream = KEYS[lane]
  local reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>')
  local messages, ids = reply and reply[1][2] or {}, {}
  for i = 1, #messages do
    ids[i] = messages[i][2][2]
  end
  local records = records_of(ids)
  for i, message in ipairs(messages) do
    claim(lane, message[1], ids[i], message[2][4], records[i])
  end
  return #messages
end

-- Claims at most `count` messages that were left alone for a lease.
local function recover(lane, count, lease, may_take_suspect)
  local stream, taken = KEYS[lane], 0
  -- Look past the suspects that may not be taken now, or they would hide the innocent behind them.
  for _, pending in ipairs(redis.call('XPENDING', stream, group, 'IDLE', lease, '-', '+', count + 100)) do
    if taken >= count then
      break
    end
    local entry = pending[1]
    local message = redis.call('XRANGE', stream, entry, entry)[1]
    if not message then
      forget(lane, entry)
    else
      local id, epoch = message[2][2], message[2][4]
      local mark = redis.call('GETRANGE', p .. 'j:' .. id, 10, 13)
      local deliveries = mark ~= '' and tonumber(mark, 16) or 0
      local is_suspect = deliveries >= 2
      if is_suspect and not may_take_suspect then
        suspects_left = suspects_left + 1
      elseif #redis.call('XCLAIM', stream, group, consumer, lease, entry, 'JUSTID') == 1 then
        claim(lane, entry, id, epoch, redis.call('GET', p .. 'j:' .. id))
        taken = taken + 1
        if is_suspect then
          may_take_suspect = false
        end
      end
    end
  end
  return taken, may_take_suspect
end

if mode == 'read' then
  for lane = 1, #KEYS do
    if count > 0 then
      count = count - read(lane, count)
    end
  end
elseif mode == 'given' then
  for i = 7, #ARGV, 4 do
    local lane, entry, id, epoch = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    if count > 0 then
      count = count - 1
      claim(lane, entry, id, epoch, redis.call('GET', p .. 'j:' .. id))
    else
      redis.call('XADD', KEYS[lane], '*', 'j', id, 'e', epoch)
      forget(lane, entry)
    end
  end
else
  local lease, may_take_suspect, taken = tonumber(ARGV[7]), ARGV[8] == '1', 0
  for lane = 1, #KEYS do
    if count > 0 then
      taken, may_take_suspect = recover(lane, count, lease, may_take_suspect)
      count = count - taken
    end
  end
end
for lane, entries in pairs(gone) do
  redis.call('XACK', KEYS[lane], group, unpack(entries))
  redis.call('XDEL', KEYS[lane], unpack(entries))
end
out[1] = suspects_left
if step == 'submit' and #out > 2 then
  out[2] = redis.call('HKEYS', p .. 'z')
end
return out
