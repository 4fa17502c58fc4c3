-- Forgets assets: their records and their places in the index of their workspace.
-- KEYS 1 index
-- ARGV 1 prefix, then ids
for at = 2, #ARGV do
  redis.call('UNLINK', ARGV[1] .. 'a:' .. ARGV[at])
  redis.call('ZREM', KEYS[1], ARGV[at])
end
return #ARGV - 1
