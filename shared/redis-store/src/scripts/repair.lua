-- Removes the ids without a record from one window of a workspace index. A record and its id are written by one
-- script, so an id without a record has expired, however many admit or repair at the same time.
-- KEYS 1 workspace index
-- ARGV 1 what the keys of its records begin with, 2 first rank of the window, 3 ids in it
local ids = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[2] + ARGV[3] - 1)
local expired = {}
for _, id in ipairs(ids) do
  if redis.call('EXISTS', ARGV[1] .. id) == 0 then
    expired[#expired + 1] = id
  end
end
if #expired > 0 then
  redis.call('ZREM', KEYS[1], unpack(expired))
end
return {#ids, #expired}
