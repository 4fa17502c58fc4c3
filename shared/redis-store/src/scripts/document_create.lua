-- Keeps a new document. Repeating it after a lost answer changes nothing.
-- KEYS 1 document, 2 index of the workspace, 3 labels of the workspace, 4 all of the kind
-- ARGV 1 id, 2 workspace, 3 content, 4 now in ms, 5 most documents, 6 label ('' = none), 7 '1' = also where another has it
-- Gives 1, or 0 when the workspace has as many as it may have.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 1
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) then
  return 0
end
redis.call('HSET', KEYS[1], 'w', ARGV[2], 'v', '1', 'c', ARGV[4], 'm', ARGV[4], 'd', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
redis.call('SADD', KEYS[4], ARGV[1])
if ARGV[6] ~= '' then
  redis.call(ARGV[7] == '1' and 'HSET' or 'HSETNX', KEYS[3], ARGV[6], ARGV[1])
end
return 1
