-- Marks a workspace as listened to, and says how far its events are.
-- KEYS 1 marks of workspaces, 2 events of this one
-- ARGV 1 workspace, 2 how long the mark holds, in ms
-- Gives {id of the last event or '', now in ms}
local now_ms = math.floor(now_us() / 1000)
for _, other in ipairs(redis.call('HKEYS', KEYS[1])) do
  if tonumber(redis.call('HGET', KEYS[1], other)) <= now_ms then
    redis.call('HDEL', KEYS[1], other)
  end
end
redis.call('HSET', KEYS[1], ARGV[1], digits(now_ms + tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
return {last and last[1] or '', digits(now_ms)}
