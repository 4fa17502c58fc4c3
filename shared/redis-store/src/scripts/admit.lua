-- Keeps and queues a job. Repeating it after a lost answer changes nothing.
-- KEYS 1 record, 2 workspace index, 3 idempotency key (or the record again when there is none)
-- ARGV 1 prefix, 2 job id, 3 record, 4 next kind, 5 delay_us, 6 created_us, 7 digest ('' = no key), 8 key ttl ms
local p, id = ARGV[1], ARGV[2]
if ARGV[7] ~= '' then
  local held = redis.call('GET', KEYS[3])
  if held then
    local other = string.sub(held, 1, 27)
    if redis.call('EXISTS', p .. 'j:' .. other) == 1 and other ~= id then
      if string.sub(held, 28) == ARGV[7] then
        return {'repeated', other}
      end
      return {'reused', other}
    end
  end
  redis.call('SET', KEYS[3], id .. ARGV[7], 'PX', ARGV[8])
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {'created', id}
end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[6], id)
enqueue(p, ARGV[4], 'submit', id, string.sub(ARGV[3], 3, 10), ARGV[5])
return {'created', id}
