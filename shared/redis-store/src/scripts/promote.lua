-- Moves due steps to where ready ones wait, at most `limit`: bounds how long Redis is busy with one call.
-- KEYS 1 due set
-- ARGV 1 prefix, 2 limit
-- Gives {moved, now_us, score of the next member or ''}
local p = ARGV[1]
local now = now_us()
local due = redis.call('ZRANGE', KEYS[1], '-inf', digits(now), 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, member in ipairs(due) do
  local colon = string.find(member, ':', 1, true)
  local lane, id = string.sub(member, 1, colon - 1), string.sub(member, colon + 1)
  local mark = redis.call('GETRANGE', p .. 'j:' .. id, 1, 9)
  if mark ~= '' and (lane == 'abandon' or not is_terminal(string.sub(mark, 1, 1))) then
    enqueue(p, 'r', lane, id, string.sub(mark, 2, 9))
  end
end
if #due > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #due - 1)
end
wake(p)
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {#due, digits(now), head[2] or ''}
