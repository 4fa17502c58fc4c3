-- Removes consumers of dead processes: each start has a name of its own, and nobody else would. One that still holds
-- messages stays: they are recovered first.
-- KEYS 1 stream
-- ARGV 1 group, 2 name to remove whatever its idle time ('' = none), 3 idle ms from which others are removed
local removed = 0
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #fields, 2 do
    consumer[fields[i]] = fields[i + 1]
  end
  if consumer.pending == 0 and (consumer.name == ARGV[2] or consumer.idle > tonumber(ARGV[3])) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    removed = removed + 1
  end
end
return removed
