-- Makes a waiting job's next check due at once, at most once in the job's life: a callback says that the work has ended.
-- A check that is under way is left alone, and the one chance with it.
-- KEYS 1 record, 2 due set of checks, 3 its wake list, 4 the mark that it was done
-- ARGV 1 job id, 2 how long the mark stays, in ms
-- Gives 1 if it did.
local header = redis.call('GETRANGE', KEYS[1], 0, 47)
if string.sub(header, 2, 2) ~= 'a' or string.sub(header, 11, 14) ~= '0000' then
  return 0
end
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  return 0
end
if not redis.call('SET', KEYS[4], '1', 'NX', 'PX', ARGV[2]) then
  return 0
end
schedule('c', now_us(), ARGV[1])
-- The set's name is the prefix and one letter.
wake(string.sub(KEYS[2], 1, -2))
return 1
