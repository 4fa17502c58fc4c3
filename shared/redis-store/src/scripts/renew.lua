-- Prolongs the leases of one queue.
-- ARGV 1 prefix, 2 source ('s:<lane>', 'c' or 'v'), 3 group, 4 consumer, 5 lease_us, then for each: id, epoch (8 hex), entry
-- Gives the ids whose claim is somebody else's now.
local p, source = ARGV[1], ARGV[2]
local lost, entries = {}, {}
local until_us = digits(now_us() + tonumber(ARGV[5]))
for i = 6, #ARGV, 3 do
  local id = ARGV[i]
  if redis.call('GETRANGE', p .. 'j:' .. id, 2, 9) ~= ARGV[i + 1] then
    lost[#lost + 1] = id
  elseif source == 'c' or source == 'v' then
    redis.call('ZADD', p .. source, 'XX', until_us, id)
  else
    entries[#entries + 1] = ARGV[i + 2]
  end
end
if #entries > 0 then
  -- XCLAIM by the same consumer sets the idle time to zero; JUSTID leaves the delivery counter alone.
  local call = {'XCLAIM', p .. source, ARGV[3], ARGV[4], 0}
  for _, entry in ipairs(entries) do
    call[#call + 1] = entry
  end
  call[#call + 1] = 'JUSTID'
  redis.call(unpack(call))
end
return lost
