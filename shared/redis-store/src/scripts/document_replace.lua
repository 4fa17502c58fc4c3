-- Writes new content of a document, unless it has changed since. Repeating it after a lost answer changes nothing.
-- KEYS 1 document
-- ARGV 1 expected version, 2 content, 3 now in ms
-- Gives 1 if it did.
local present = redis.call('HMGET', KEYS[1], 'v', 'd')
local version, after = present[1], digits(tonumber(ARGV[1]) + 1)
if version == after and present[2] == ARGV[2] then
  return 1
end
if version ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'v', after, 'm', ARGV[3], 'd', ARGV[2])
return 1
