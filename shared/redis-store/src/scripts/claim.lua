-- Claims messages of one ready stream: raises epoch and deliveries, gives the records as they were before.
-- KEYS 1 stream
-- ARGV 1 prefix, 2 group, 3 consumer, 4 step, 5 mode, 6 count, then by mode:
--   read                      new messages
--   given   entry id epoch..  messages that a blocking read has brought
--   recover lease_ms suspects messages whose holder gave no sign for a lease; `suspects` 1 = one that was already
--                             redelivered may be taken, alone
-- Gives {more suspects wait, entry, id, record, entry, id, record, ...}
--
-- A message fits its record when record.epoch == message.epoch + deliveries: every claim raises both numbers, and
-- whatever else changes a job raises the epoch alone, so that older messages fit no more (INV-9).
local p, group, consumer, step, mode = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local count = tonumber(ARGV[6])
local given, gone, suspects_left = {}, {}, 0
local out = {0}

local function claim(entry, id, epoch)
  local key = p .. 'j:' .. id
  local record = redis.call('GET', key)
  if not record then
    gone[#gone + 1] = entry
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
    gone[#gone + 1] = entry
    return
  end
  local mark = string.format('%08x%04x', held + 1, math.min(deliveries + 1, 65535))
  redis.call('SETRANGE', key, 2, mark)
  out[#out + 1] = entry
  out[#out + 1] = id
  out[#out + 1] = record
end

if mode == 'read' then
  local reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', KEYS[1], '>')
  if reply then
    for _, message in ipairs(reply[1][2]) do
      claim(message[1], message[2][2], message[2][4])
    end
  end
elseif mode == 'given' then
  for i = 7, #ARGV, 3 do
    claim(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
else
  local lease, may_take_suspect = tonumber(ARGV[7]), ARGV[8] == '1'
  -- Look past the suspects that may not be taken now, or they would hide the innocent behind them.
  local idle = redis.call('XPENDING', KEYS[1], group, 'IDLE', lease, '-', '+', count + 100)
  local taken = 0
  for _, pending in ipairs(idle) do
    if taken >= count then
      break
    end
    local entry = pending[1]
    local message = redis.call('XRANGE', KEYS[1], entry, entry)[1]
    if not message then
      gone[#gone + 1] = entry
    else
      local id, epoch = message[2][2], message[2][4]
      local mark = redis.call('GETRANGE', p .. 'j:' .. id, 10, 13)
      local deliveries = mark ~= '' and tonumber(mark, 16) or 0
      local is_suspect = deliveries >= 2
      if is_suspect and not may_take_suspect then
        suspects_left = suspects_left + 1
      elseif #redis.call('XCLAIM', KEYS[1], group, consumer, lease, entry, 'JUSTID') == 1 then
        claim(entry, id, epoch)
        taken = taken + 1
        if is_suspect then
          may_take_suspect = false
        end
      end
    end
  end
end
if #gone > 0 then
  redis.call('XACK', KEYS[1], group, unpack(gone))
  redis.call('XDEL', KEYS[1], unpack(gone))
end
out[1] = suspects_left
return out
