-- Claims what is due in a set that is a lease queue: a taken member stays with its lease's end as score.
-- KEYS 1 due set: of checks, or of deliveries
-- ARGV 1 prefix, 2 count, 3 lease_us, 4 suspects (1 = one that was already redelivered may be taken), 5 the state that
--   a job must have, 6 until when who asks waits for the answer ('' = it is not known): later nothing is taken, as nobody
--   would learn of it, and it would count as a delivery without a verdict
-- Gives {suspects left, now_us, score of the next member or '', id, record, id, record, ...}, records as they were before
local p, count, lease_us, state = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[5]
local may_take_suspect, suspects_left = ARGV[4] == '1', 0
local name = string.sub(KEYS[1], -1)
local now = now_us()
local out = {0, digits(now), ''}
if now > (tonumber(ARGV[6]) or math.huge) then
  -- If somebody does hear it, this clock has been set: to look again at once is right.
  return {0, digits(now), digits(now)}
end

-- What was due longest comes first: leases that have ended. Then what stands before all times.
local due = redis.call('ZRANGE', KEYS[1], 0, digits(now), 'BYSCORE', 'LIMIT', 0, count)
if name == 'v' and #due < count then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', '(0', 'BYSCORE', 'LIMIT', 0, count - #due)) do
    due[#due + 1] = id
  end
end
local lease_end, leased, keys = digits(now + lease_us), {}, {}
for i = 1, #due do
  keys[i] = p .. 'j:' .. due[i]
end
-- One call for all records, and one for all leases: a call costs about as much as what it does here.
local records = #due > 0 and redis.call('MGET', unpack(keys)) or {}
for i = 1, #due do
  local id, record = due[i], records[i]
  if not record or string.sub(record, 2, 2) ~= state then
    redis.call('ZREM', KEYS[1], id)
  elseif not is_known(record) then
    -- A build that can read it may come meanwhile.
    leased[#leased + 1] = lease_end
    leased[#leased + 1] = id
  else
    local deliveries = tonumber(string.sub(record, 11, 14), 16)
    if deliveries >= 2 and not may_take_suspect then
      -- Out of the way of the innocent behind it, and back soon.
      suspects_left = suspects_left + 1
      leased[#leased + 1] = digits(now + 100000)
      leased[#leased + 1] = id
    else
      if deliveries >= 2 then
        may_take_suspect = false
      end
      local mark = string.format(
        '%08x%04x', tonumber(string.sub(record, 3, 10), 16) + 1, math.min(deliveries + 1, 65535))
      redis.call('SETRANGE', keys[i], 2, mark)
      leased[#leased + 1] = lease_end
      leased[#leased + 1] = id
      out[#out + 1] = id
      out[#out + 1] = record
    end
  end
end
if #leased > 0 then
  redis.call('ZADD', KEYS[1], unpack(leased))
end
out[1] = suspects_left
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if head[2] then
  out[3] = head[2]
  if tonumber(head[2]) < 0 then
    -- Others may have slots for what this one has left.
    ring(p, name)
  end
end
return out
