-- Gives back the lease of whoever pushes control tasks, unless it is somebody else's.
-- KEYS 1 lease
-- ARGV 1 who had it
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
