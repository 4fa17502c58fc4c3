-- Notes when a document was used, unless it is gone or a later use is noted.
-- KEYS 1 document
-- ARGV 1 now in ms
-- Gives 1 if it did.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local last = redis.call('HGET', KEYS[1], 'u')
if last and tonumber(last) >= tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'u', ARGV[1])
return 1
