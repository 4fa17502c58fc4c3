-- Keeps and queues jobs, each with an outcome of its own. Repeating it after a lost answer changes nothing.
-- ARGV 1 prefix, 2 idempotency key ttl ms, then for each job 9 values:
--   id, record, lane, delay_us, created_us, workspace, digest of the idempotency key ('' = none), fingerprint, facts of
--   its first event
-- Gives for each job 'c' (created), 'r' and the id of the same request, or 'u' and the id of another one.
local p = ARGV[1]
local outcomes, indexes = {}, {}

-- Who holds the job's idempotency key, if not this job itself; otherwise the job holds it from now on.
local function other_holder(id, key, fingerprint)
  local held = redis.call('GET', key)
  if held then
    local other = string.sub(held, 1, 27)
    if other ~= id and redis.call('EXISTS', p .. 'j:' .. other) == 1 then
      return (string.sub(held, 28) == fingerprint and 'r' or 'u') .. other
    end
  end
  redis.call('SET', key, id .. fingerprint, 'PX', ARGV[2])
end

for at = 3, #ARGV, 9 do
  local id, record, digest = ARGV[at], ARGV[at + 1], ARGV[at + 6]
  local outcome = digest ~= '' and other_holder(id, p .. 'i:' .. digest, ARGV[at + 7])
  if not outcome then
    outcome = 'c'
    if redis.call('SET', p .. 'j:' .. id, record, 'NX') then
      local index = indexes[ARGV[at + 5]]
      if not index then
        index = {}
        indexes[ARGV[at + 5]] = index
      end
      index[#index + 1] = ARGV[at + 4]
      index[#index + 1] = id
      enqueue(p, ARGV[at + 3] == '0' and 'r' or 'd', ARGV[at + 2], id, string.sub(record, 3, 10), ARGV[at + 3])
      tell(p, ARGV[at + 5], id, record, ARGV[at + 8])
    end
  end
  outcomes[#outcomes + 1] = outcome
end
for workspace, index in pairs(indexes) do
  redis.call('ZADD', p .. 'x:' .. workspace, unpack(index))
end
wake(p)
return outcomes
