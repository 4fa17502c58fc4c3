-- Gives a label to a document of a workspace; whichever has it loses it.
-- KEYS 1 document, 2 labels of the workspace
-- ARGV 1 id, 2 workspace, 3 label
-- Gives 1, or 0 when there is no such document.
if redis.call('HGET', KEYS[1], 'w') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[1])
return 1
