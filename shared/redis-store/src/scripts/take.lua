-- Claims due checks. The due set is the lease queue: a taken member stays with its lease's end as score.
-- KEYS 1 due set of checks
-- ARGV 1 prefix, 2 count, 3 lease_us, 4 suspects (1 = one that was already redelivered may be taken)
-- Gives {suspects left, now_us, score of the next member or '', id, record, id, record, ...}, records as they were before
local p, count, lease_us = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local may_take_suspect, suspects_left = ARGV[4] == '1', 0
local now = now_us()
local out = {0, digits(now), ''}
local lease_end, leased, keys = digits(now + lease_us), {}, {}
local ids = redis.call('ZRANGE', KEYS[1], '-inf', out[2], 'BYSCORE', 'LIMIT', 0, count)
for i = 1, #ids do
  keys[i] = p .. 'j:' .. ids[i]
end
-- One call for all records, and one for all leases: a call costs about as much as what it does here.
local records = #ids > 0 and redis.call('MGET', unpack(keys)) or {}
for i = 1, #ids do
  local id, record = ids[i], records[i]
  if not record or string.sub(record, 2, 2) ~= 'a' then
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
      redis.call('ZADD', KEYS[1], digits(now + 100000), id)
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
end
return out
