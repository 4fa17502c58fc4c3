-- Queues what a pause has held back, at most `limit` jobs: those that still wait for the end of it.
-- KEYS 1 what the pause holds, 2 due set
-- ARGV 1 prefix, 2 limit
-- Gives {looked at, queued}
local p = ARGV[1]
local held, queued = redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1), 0
for _, member in ipairs(held) do
  if redis.call('ZREM', KEYS[2], member) == 1 then
    local colon = string.find(member, ':', 1, true)
    local lane, id = string.sub(member, 1, colon - 1), string.sub(member, colon + 1)
    local mark = redis.call('GETRANGE', p .. 'j:' .. id, 1, 9)
    if mark ~= '' and not is_terminal(string.sub(mark, 1, 1)) then
      enqueue(p, 'r', lane, id, string.sub(mark, 2, 9))
      queued = queued + 1
    end
  end
end
if #held > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #held - 1)
end
return {#held, queued}
