-- Writes verdicts: record, what follows, and acknowledgement of each in one step.
-- ARGV 1 prefix, 2 group, 3 number of items, then for each item 13 values:
--   id, expected epoch (8 hex), source, entry, new header, new body ('' = as it is), next kind, next step, delay_us,
--   ttl_ms ('0' = none), publish ('1' = the job has ended), indexes ('+u:acme' enters, '-u:acme' leaves, blanks between),
--   number of assets; then for each asset: id, json
-- source: 's:<step>' a message of that stream, 'c' a check, 'x' not a claim (a cancel), 'k' keep the claim
-- Gives for each item 'ok' or the present record ('' when there is none): somebody else has changed the job (INV-9).
-- An item whose new header is already there was written by an earlier run whose answer was lost.
local p, group = ARGV[1], ARGV[2]
local results, acks = {}, {}
local at = 4
for _ = 1, tonumber(ARGV[3]) do
  local id, expected, source, entry = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local header, body = ARGV[at + 4], ARGV[at + 5]
  local kind, step, delay_us = ARGV[at + 6], ARGV[at + 7], ARGV[at + 8]
  local ttl, publish, indexes, assets = ARGV[at + 9], ARGV[at + 10], ARGV[at + 11], tonumber(ARGV[at + 12])
  local key = p .. 'j:' .. id
  local present = redis.call('GETRANGE', key, 0, 47)
  if present == header and source ~= 'k' then
    results[#results + 1] = 'ok'
  elseif present == '' or string.sub(present, 3, 10) ~= expected then
    results[#results + 1] = redis.call('GET', key) or ''
  else
    if body == '' then
      redis.call('SETRANGE', key, 0, header)
    else
      redis.call('SET', key, header .. body, 'KEEPTTL')
    end
    if ttl ~= '0' then
      redis.call('PEXPIRE', key, ttl)
    end
    for a = 0, assets - 1 do
      redis.call('SET', p .. 'a:' .. ARGV[at + 13 + a * 2], ARGV[at + 14 + a * 2], 'PX', ttl)
    end
    for sign, index in string.gmatch(indexes, '([+-])(%S+)') do
      if sign == '+' then
        redis.call('ZADD', p .. index, string.sub(header, 19, 31), id)
      else
        redis.call('ZREM', p .. index, id)
      end
    end
    if source == 'c' and not (kind ~= 'n' and step == 'check') then
      redis.call('ZREM', p .. 'c', id)
    elseif source == 'x' then
      redis.call('ZREM', p .. 'c', id)
      redis.call('ZREM', p .. 'd', 'submit:' .. id, 'deliver:' .. id, 'reconcile:' .. id)
    elseif string.sub(source, 1, 2) == 's:' then
      acks[source] = acks[source] or {}
      table.insert(acks[source], entry)
    end
    enqueue(p, kind, step, id, string.sub(header, 3, 10), delay_us)
    if publish == '1' then
      redis.call('PUBLISH', p .. 'ended', id)
    end
    results[#results + 1] = 'ok'
  end
  at = at + 13 + assets * 2
end
for stream, entries in pairs(acks) do
  redis.call('XACK', p .. stream, group, unpack(entries))
  redis.call('XDEL', p .. stream, unpack(entries))
end
return results
