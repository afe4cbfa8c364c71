import { script } from '../exchange/redis-calls.ts'

// Scripts that keep the keys of the shared index consistent. They have no rule of the store: which sets have
// room, go or expire is decided by the caller.
//
// Keys, below a prefix:
//   set:NAME            hash: `record` (JSON), `used`; for complete sets `used` is the newer one
//   pieces:NAME         list of its pieces, which the record leaves out; it stays until the set is forgotten
//   turn:NAME           the lease of the set, with the token of its holder
//   expires             sorted set of all names by expiry
//   uploads             sorted set of the names of incomplete sets by expiry; the same for
//   uploads:owner:X     those of an owner and
//   uploads:network:X   those of a network
//   owner:X             sorted set of the names of an owner's complete sets by time of use
//   amounts             hash: `bytes`, and `sets:X` and `bytes:X` of each network
//   retired             sorted set of the names of retired sets by time, and
//   retired:sets        hash of their records and reasons
//   version             counts changes that may leave less room

const COMMON = `
  local prefix = KEYS[1]
  local function key(name) return prefix .. name end
  local function read(name) return redis.call('hget', key('set:' .. name), 'record') end

  local function add_amount(field, amount)
    local left = redis.call('hincrby', key('amounts'), field, amount)
    if left == 0 then redis.call('hdel', key('amounts'), field) end
  end

  local function count(record, sign)
    add_amount('bytes', sign * record.bytes)
    if record.network then
      add_amount('sets:' .. record.network, sign)
      add_amount('bytes:' .. record.network, sign * record.bytes)
    end
  end

  -- Sorted sets that have the name of a set beside "expires".
  local function lists(record)
    if record.digest then return record.owner and { 'owner:' .. record.owner } or {} end
    local found = { 'uploads' }
    if record.owner then table.insert(found, 'uploads:owner:' .. record.owner) end
    if record.network then table.insert(found, 'uploads:network:' .. record.network) end
    return found
  end

  local function put(name, text)
    local record = cjson.decode(text)
    redis.call('hset', key('set:' .. name), 'record', text)
    if record.used then redis.call('hset', key('set:' .. name), 'used', record.used) end
    redis.call('zadd', key('expires'), record.expires, name)
    for _, list in ipairs(lists(record)) do
      redis.call('zadd', key(list), record.digest and (record.used or 0) or record.expires, name)
    end
    count(record, 1)
  end

  -- Removes a record. Returns its text and time of use.
  local function take(name)
    local text, used = unpack(redis.call('hmget', key('set:' .. name), 'record', 'used'))
    if not text then return nil end
    local record = cjson.decode(text)
    redis.call('del', key('set:' .. name))
    redis.call('zrem', key('expires'), name)
    for _, list in ipairs(lists(record)) do redis.call('zrem', key(list), name) end
    count(record, -1)
    return text, used
  end

  -- Retires sets. Returns their names, records and times of use, one behind the other.
  local function retire(names, reason, now)
    local found = {}
    for _, name in ipairs(names) do
      local text, used = take(name)
      if text then
        redis.call('zadd', key('retired'), now, name)
        redis.call('hset', key('retired:sets'), name, cjson.encode({ text, used or '', reason }))
        table.insert(found, name)
        table.insert(found, text)
        table.insert(found, used or '')
      end
    end
    return found
  end
`

/** ARGV: now, owner, network. */
export const VIEW = script(`${COMMON}
  local now, owner, network = unpack(ARGV)
  local complete = {}
  for _, name in ipairs(redis.call('zrange', key('owner:' .. owner), 0, -1)) do
    local text, used = unpack(redis.call('hmget', key('set:' .. name), 'record', 'used'))
    table.insert(complete, name)
    table.insert(complete, text)
    table.insert(complete, used or '')
  end
  local amounts = redis.call('hmget', key('amounts'), 'bytes', 'sets:' .. network, 'bytes:' .. network)
  local live = '(' .. now
  return {
    redis.call('get', key('version')) or '0',
    redis.call('zcard', key('expires')),
    amounts[1] or '0',
    amounts[2] or '0',
    amounts[3] or '0',
    redis.call('zcount', key('uploads:owner:' .. owner), live, '+inf'),
    redis.call('zcount', key('uploads:network:' .. network), live, '+inf'),
    complete,
  }`)

/**
 * ARGV: now, version, name, record, reason, names that go. @returns nothing when the version is another one
 */
export const ANNOUNCE = script(`${COMMON}
  local now, version, name, text, reason = unpack(ARGV, 1, 5)
  if (redis.call('get', key('version')) or '0') ~= version then return nil end
  redis.call('incr', key('version'))
  local going = retire({ unpack(ARGV, 6) }, reason, now)
  put(name, text)
  return going`)

/**
 * ARGV: name, token of the turn, the record that the turn began with, the new one, new pieces.
 *
 * @returns saved, lost (another turn has begun, or this one was not alone), or gone
 */
export const SAVE = script(`${COMMON}
  local name, token, before, text = unpack(ARGV, 1, 4)
  local found = read(name)
  if not found then return 'gone' end
  if redis.call('get', key('turn:' .. name)) ~= token or found ~= before then return 'lost' end
  take(name)
  put(name, text)
  for i = 5, #ARGV do redis.call('rpush', key('pieces:' .. name), ARGV[i]) end
  return 'saved'`)

/** ARGV: name, now. @returns the record; nothing when there is none */
export const USE = script(`${COMMON}
  local name, now = unpack(ARGV)
  local text = read(name)
  if not text then return nil end
  redis.call('hset', key('set:' .. name), 'used', now)
  local record = cjson.decode(text)
  if record.digest and record.owner then redis.call('zadd', key('owner:' .. record.owner), now, name) end
  return text`)

/** ARGV: now, reason, names. */
export const RETIRE = script(`${COMMON}
  return retire({ unpack(ARGV, 3) }, ARGV[2], ARGV[1])`)

/** ARGV: name. */
export const RESTORE = script(`${COMMON}
  local name = ARGV[1]
  local kept = redis.call('hget', key('retired:sets'), name)
  if not kept then return nil end
  local text, used = unpack(cjson.decode(kept))
  redis.call('zrem', key('retired'), name)
  redis.call('hdel', key('retired:sets'), name)
  redis.call('incr', key('version'))
  put(name, text)
  if used == '' then return nil end
  redis.call('hset', key('set:' .. name), 'used', used)
  local record = cjson.decode(text)
  if record.digest and record.owner then redis.call('zadd', key('owner:' .. record.owner), used, name) end`)

/** ARGV: name, channel. */
export const FORGET = script(`${COMMON}
  redis.call('zrem', key('retired'), ARGV[1])
  redis.call('hdel', key('retired:sets'), ARGV[1])
  redis.call('del', key('pieces:' .. ARGV[1]))
  redis.call('publish', ARGV[2], ARGV[1])`)

/** ARGV: now. */
export const TOTALS = script(`${COMMON}
  local live = '(' .. ARGV[1]
  return {
    redis.call('zcard', key('expires')),
    redis.call('hget', key('amounts'), 'bytes') or '0',
    redis.call('zcount', key('expires'), live, '+inf'),
    redis.call('zcount', key('uploads'), live, '+inf'),
  }`)

/** ARGV: name. @returns record, time of use and pieces; empty texts for a set that is gone */
export const READ_WHOLE = script(`${COMMON}
  local name = ARGV[1]
  local text, used = unpack(redis.call('hmget', key('set:' .. name), 'record', 'used'))
  return { text or '', used or '', redis.call('lrange', key('pieces:' .. name), 0, -1) }`)

/**
 * ARGV: names. @returns records and times of use, one behind the other; empty texts for sets that are gone
 */
export const READ = script(`${COMMON}
  local found = {}
  for _, name in ipairs(ARGV) do
    local text, used = unpack(redis.call('hmget', key('set:' .. name), 'record', 'used'))
    table.insert(found, text or '')
    table.insert(found, used or '')
  end
  return found`)
