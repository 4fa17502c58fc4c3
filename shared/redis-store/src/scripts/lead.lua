-- Takes or prolongs the lease of whoever pushes control tasks.
-- KEYS 1 lease
-- ARGV 1 who asks, 2 how long it holds, in ms
-- Gives {1, that} if it is the asker's now, else {0, ms that are left of another's}
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return {0, redis.call('PTTL', KEYS[1])}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, tonumber(ARGV[2])}
