-- Removes a document of a workspace with its labels.
-- KEYS 1 document, 2 index of the workspace, 3 labels of the workspace, 4 all of the kind
-- ARGV 1 id, 2 workspace
-- Gives 1 if there was one.
if redis.call('HGET', KEYS[1], 'w') ~= ARGV[2] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[4], ARGV[1])
local labels = redis.call('HGETALL', KEYS[3])
for i = 2, #labels, 2 do
  if labels[i] == ARGV[1] then
    redis.call('HDEL', KEYS[3], labels[i - 1])
  end
end
return 1
