-- Writes verdicts: record, what follows, and acknowledgement of each in one step.
-- ARGV 1 prefix, 2 group, then for each verdict 8 values, and after them id, time in ms and json of each of its assets:
--   id, expected epoch (8 hex), entry, new header, new rest of the record ('' = as it is), delay_us, plan, and what those
--     who listen are told: the workspace, a space and the facts ('' = nothing)
-- A plan is `source kind step ttl_ms ended assets indexes`; there are few different ones, so each is taken apart once.
--   source: 's:<lane>' a message of that stream, 'c' a check, 'v' a delivery, 'x' not a claim (a cancel), 'k' keep the
--     claim
--   kind and step: what is enqueued, the step as its lane; kind 'p' = held back by the pause in `indexes`
--   ttl_ms: 0 = none; ended: 1 = tell those who wait; assets: how many there are
--   indexes: '+u:acme' enters one, '-u:acme' leaves it, '$acme|...' enters a cost into the books, '@acme|ttl_ms' keeps the
--     assets for that long (0 = for ever) and lists them, commas between; nothing where there is none
-- Gives for each verdict 'ok' or the present record ('' when there is none): somebody else has changed the job (INV-9).
-- A verdict whose header is already there was written by an earlier run whose answer was lost.
local p, group = ARGV[1], ARGV[2]
local results, acks, plans, ended = {}, {}, {}, {}

-- What this script enters into the books, by record and field: a batch costs one command a field.
local books = {}

-- Enters `workspace|kept_s|ending|micro_usd|unpriced|run_ms|provider|operation|model`, on this day by this server's clock.
local function charge(word)
  local workspace, kept_s, ending, micro_usd, unpriced, run_ms, what =
    string.match(word, '^([^|]+)|(%d+)|(%a?)|(-?%d+)|(-?%d+)|(%d+)|(.+)$')
  local key = p .. 'm:' .. workspace .. ':' .. digits(math.floor(now_us() / 86400000000))
  local book = books[key] or {kept_s = kept_s, sums = {}}
  books[key] = book
  local function add(figure, amount)
    local field = figure .. '|' .. what
    book.sums[field] = (book.sums[field] or 0) + amount
  end
  if ending ~= '' then
    add(ending, 1)
  end
  add('u', tonumber(micro_usd))
  add('n', tonumber(unpriced))
  add('t', tonumber(run_ms))
end

local function plan_of(text)
  local plan = plans[text]
  if not plan then
    local source, kind, step, ttl, has_ended, assets, indexes =
      string.match(text, '^(%S+) (%S+) (%S+) (%d+) (%d) (%d+) (%S*)$')
    plan = {
      source = source, kind = kind, step = step, ttl = ttl ~= '0' and ttl, has_ended = has_ended == '1',
      assets = tonumber(assets), leaves = source == 'v' or (source == 'c' and not (kind ~= 'n' and step == 'check')),
      stream = string.sub(source, 1, 2) == 's:', scope = kind == 'p' and indexes, changes = {}
    }
    if not plan.scope then
      for sign, index in string.gmatch(indexes, '([+$@-])([^,]+)') do
        if sign == '@' then
          plan.workspace, plan.kept_ms = string.match(index, '^([^|]+)|(%d+)$')
        else
          table.insert(plan.changes, {sign, index})
        end
      end
    end
    plans[text] = plan
  end
  return plan
end

local at = 3
while at <= #ARGV do
  local id, header, rest, plan = ARGV[at], ARGV[at + 3], ARGV[at + 4], plan_of(ARGV[at + 6])
  local key = p .. 'j:' .. id
  local present = redis.call('GETRANGE', key, 0, #header - 1)
  if present == header and plan.source ~= 'k' then
    results[#results + 1] = 'ok'
  elseif present == '' or string.sub(present, 3, 10) ~= ARGV[at + 1]
    -- A header belongs to its own layout only.
    or (rest == '' and string.byte(present) ~= string.byte(header)) then
    results[#results + 1] = redis.call('GET', key) or ''
  else
    if rest == '' then
      redis.call('SETRANGE', key, 0, header)
      if plan.ttl then
        redis.call('PEXPIRE', key, plan.ttl)
      end
    elseif plan.ttl then
      redis.call('SET', key, header .. rest, 'PX', plan.ttl)
    else
      redis.call('SET', key, header .. rest, 'KEEPTTL')
    end
    for a = at + 8, at + 5 + 3 * plan.assets, 3 do
      keep_asset(p, plan.workspace, plan.kept_ms, ARGV[a], ARGV[a + 1], ARGV[a + 2])
    end
    for _, change in ipairs(plan.changes) do
      local sign, index = change[1], change[2]
      if sign == '$' then
        charge(index)
      elseif sign == '+' then
        redis.call('ZADD', p .. index, string.sub(header, 19, 31), id)
      else
        redis.call('ZREM', p .. index, id)
      end
    end
    if plan.stream then
      local entries = acks[plan.source]
      if not entries then
        entries = {}
        acks[plan.source] = entries
      end
      entries[#entries + 1] = ARGV[at + 2]
    elseif plan.leaves then
      redis.call('ZREM', p .. plan.source, id)
    elseif plan.source == 'x' then
      redis.call('ZREM', p .. 'c', id)
      redis.call('ZREM', p .. 'v', id)
      redis.call('ZREM', p .. 'd', 'submit:' .. id, 'submit-high:' .. id, 'submit-low:' .. id, 'reconcile:' .. id)
    end
    if plan.scope then
      park(p, plan.scope, plan.step, id, string.sub(header, 3, 10), ARGV[at + 5])
    else
      enqueue(p, plan.kind, plan.step, id, string.sub(header, 3, 10), ARGV[at + 5])
    end
    local event = ARGV[at + 7]
    -- A kept claim that is written again was told before.
    if event ~= '' and present ~= header and is_any_heard(p) then
      local space = string.find(event, ' ', 1, true)
      tell(p, string.sub(event, 1, space - 1), id, header, string.sub(event, space + 1))
    end
    if plan.has_ended then
      ended[#ended + 1] = id
    end
    results[#results + 1] = 'ok'
  end
  at = at + 8 + 3 * plan.assets
end
for stream, entries in pairs(acks) do
  redis.call('XACK', p .. stream, group, unpack(entries))
  redis.call('XDEL', p .. stream, unpack(entries))
end
for key, book in pairs(books) do
  for field, amount in pairs(book.sums) do
    if amount ~= 0 then
      -- A record that is no book is no reason to hold up verdicts.
      redis.pcall('HINCRBY', key, field, digits(amount))
    end
  end
  redis.call('EXPIRE', key, book.kept_s)
end
list_assets(p)
wake(p)
if #ended > 0 then
  redis.call('PUBLISH', p .. 'ended', table.concat(ended, ' '))
end
return results
