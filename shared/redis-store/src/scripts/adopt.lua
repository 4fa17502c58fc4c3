-- Moves deliveries from the stream in which an earlier version queued them to where they wait now. One that a worker of
-- that version still holds is done twice, which gives the same objects.
-- KEYS 1 that stream
-- ARGV 1 prefix, 2 limit
-- Gives how many were moved.
local p = ARGV[1]
local messages = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2])
for _, message in ipairs(messages) do
  local id = message[2][2]
  if redis.call('GETRANGE', p .. 'j:' .. id, 1, 1) == 'd' and not redis.call('ZSCORE', p .. 'v', id) then
    enqueue(p, 'r', 'deliver', id)
  end
  redis.call('XDEL', KEYS[1], message[1])
end
if #messages > 0 and redis.call('XLEN', KEYS[1]) == 0 then
  redis.call('UNLINK', KEYS[1])
end
wake(p)
return #messages
