-- Forgets a job that has ended: its record and its places in the indexes.
-- KEYS 1 record, 2 workspace index, 3 dead letters
-- ARGV 1 job id
-- Gives 1 if it did.
local state = redis.call('GETRANGE', KEYS[1], 1, 1)
if state ~= '' and not is_terminal(state) then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
local was_listed = redis.call('ZREM', KEYS[3], ARGV[1])
return math.max(redis.call('UNLINK', KEYS[1]), was_listed)
