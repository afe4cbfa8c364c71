import { PolyVeilError } from '../../../errors/index.ts'
import { noSuchKeySet } from '../../stores/key-set-errors.ts'
import type {
  KeySetIndex,
  RemovalReason,
  RetiredKeySet,
  RoomView,
  Totals,
  Turn,
} from '../../stores/key-set-index.ts'
import { type KeySetRecord, type NamedKeySet, type Piece, parsedRecord } from '../../stores/key-set-record.ts'
import { Serial } from '../../stores/serial.ts'
import { type LeaseTimes, underLease } from '../exchange/lease.ts'
import { RedisCalls, type Script } from '../exchange/redis-calls.ts'
import type { RedisConnection } from '../exchange/redis-connection.ts'
import { ANNOUNCE, FORGET, READ, READ_WHOLE, RESTORE, RETIRE, SAVE, TOTALS, USE, VIEW } from './scripts.ts'

/** Sets that one call reads, or one sweep removes, at most. */
const BATCH = 500
/** After this time no process ends the removal that it has begun. */
const REMOVAL_MILLISECONDS = 60_000
const RETRY_SECONDS = 1
const TIMES: LeaseTimes = { leaseMilliseconds: 15_000, waitMilliseconds: 60_000 }

export interface RedisIndexOptions extends Partial<LeaseTimes> {
  /**
   * Beginning of all keys, by default `polyveil:keys:`. For a Redis Cluster it must have a hash tag, such as
   * `{polyveil}:keys:`.
   */
  readonly prefix?: string
  /** Time in which Redis has to answer a call, in milliseconds; by default 5000. */
  readonly callMilliseconds?: number
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

/**
 * Records of key sets in a Redis that several processes share. Their clocks must agree to within seconds.
 *
 * No call reads all records but `list`. An announcement takes two calls, each of which touches the few sets
 * of its owner and sorted sets in O(log n).
 *
 * A turn is a lease that frees itself when its process has ended or stands still, and a record is saved only
 * under the lease and over the record that the turn began with. A process that has lost its lease therefore
 * changes nothing: its part is refused with TOO_BUSY, and the upload is where the other process has it.
 */
export class RedisIndex implements KeySetIndex {
  readonly #connection: RedisConnection
  readonly #calls: RedisCalls
  readonly #prefix: string
  readonly #times: LeaseTimes
  readonly #now: () => number
  /** Callers in this process wait here, and not each for the lease. */
  readonly #serial = new Serial()
  readonly #watchers: ((name: string) => void)[] = []
  #subscriber: RedisConnection | undefined

  /** @param connection of ioredis; stays the caller's */
  constructor(
    connection: RedisConnection,
    {
      prefix = 'polyveil:keys:',
      callMilliseconds,
      now = Date.now,
      leaseMilliseconds = TIMES.leaseMilliseconds,
      waitMilliseconds = TIMES.waitMilliseconds,
    }: RedisIndexOptions = {},
  ) {
    this.#connection = connection
    this.#calls = new RedisCalls(connection, callMilliseconds)
    this.#prefix = prefix
    this.#now = now
    this.#times = { leaseMilliseconds, waitMilliseconds }
  }

  async get(name: string): Promise<KeySetRecord | undefined> {
    return (await this.#whole(name)).record
  }

  async view(owner: string, network: string, now: number): Promise<RoomView> {
    const answer = (await this.#run(VIEW, [now, owner, network])) as [...string[], string[]]
    const [version, sets, bytes, networkSets, networkBytes, ofOwner, ofNetwork] = answer
      .slice(0, 7)
      .map(Number)
    const complete = inThrees(answer.at(-1) as string[]).map(
      ([name, text, used]): NamedKeySet => [name, recordOf(name, text, used)],
    )
    return {
      version,
      all: { sets, bytes },
      ofNetwork: { sets: networkSets, bytes: networkBytes },
      uploadsOfOwner: ofOwner,
      uploadsOfNetwork: ofNetwork,
      completeOfOwner: complete.filter(([, { expires }]) => expires > now),
    }
  }

  async announce(
    name: string,
    record: KeySetRecord,
    going: readonly string[],
    version: number,
  ): Promise<readonly RetiredKeySet[] | undefined> {
    const reason = 'made room for its owner'
    const args = [this.#now(), version, name, JSON.stringify(record), reason, ...going]
    const retired = (await this.#run(ANNOUNCE, args)) as string[] | null
    return retired === null ? undefined : retiredSets(retired, reason)
  }

  async use(name: string, now: number): Promise<KeySetRecord | undefined> {
    const text = (await this.#run(USE, [name, now])) as string | null
    return text === null ? undefined : recordOf(name, text, String(now))
  }

  alone<T>(name: string, action: (turn: Turn) => Promise<T>): Promise<T> {
    const lease = this.#key(`turn:${name}`)
    return this.#serial.run(name, () =>
      underLease(this.#calls, lease, this.#times, async (token) => action(await this.#turn(name, token))),
    )
  }

  async #turn(name: string, token: string): Promise<Turn> {
    let { text: before, record } = await this.#whole(name)
    let count = record?.pieces?.length ?? 0
    return {
      record,
      save: async ({ pieces, ...rest }) => {
        const text = JSON.stringify(rest)
        const added = pieces?.slice(count).map(textOf) ?? []
        const outcome = await this.#run(SAVE, [name, token, before, text, ...added])
        if (outcome === 'gone') throw noSuchKeySet()
        if (outcome === 'lost') throw lostTurn()
        before = text
        count += added.length
      },
    }
  }

  async retire(names: readonly string[], reason: RemovalReason): Promise<readonly RetiredKeySet[]> {
    const retired = (await this.#run(RETIRE, [this.#now(), reason, ...names])) as string[]
    return retiredSets(retired, reason)
  }

  async restore({ name }: RetiredKeySet): Promise<void> {
    await this.#run(RESTORE, [name])
  }

  async forget(name: string): Promise<void> {
    await this.#run(FORGET, [name, this.#channel])
  }

  async unfinished(now: number): Promise<readonly RetiredKeySet[]> {
    const names = await this.#oldest('retired', now - REMOVAL_MILLISECONDS)
    if (names.length === 0) return []
    const kept = await this.#calls.ask((redis) => redis.hmget(this.#key('retired:sets'), ...names))
    return kept.flatMap((each, i) => {
      if (each === null) return []
      const [text, used, reason] = JSON.parse(each) as [string, string, RemovalReason]
      return [{ name: names[i], record: recordOf(names[i], text, used), reason }]
    })
  }

  /** The first of them; others are for the next sweep. */
  expired(now: number): Promise<readonly string[]> {
    return this.#oldest('expires', now)
  }

  async list(): Promise<readonly NamedKeySet[]> {
    const names = await this.#calls.ask((redis) => redis.zrange(this.#key('expires'), 0, -1))
    const all: NamedKeySet[] = []
    for (let i = 0; i < names.length; i += BATCH) all.push(...(await this.#read(names.slice(i, i + BATCH))))
    return all
  }

  async totals(now: number): Promise<Totals> {
    const answer = (await this.#run(TOTALS, [now])) as (string | number)[]
    const [sets, bytes, live, uploads] = answer.map(Number)
    return { sets, bytes, live, uploads }
  }

  /** Times of use are in Redis already. */
  async flush(): Promise<void> {}

  /** What is removed while the connection is away is not told. */
  watch(onForgotten: (name: string) => void): void {
    this.#watchers.push(onForgotten)
    this.#subscriber ??= this.#subscribed()
  }

  async close(): Promise<void> {
    this.#watchers.length = 0
    this.#subscriber?.disconnect()
    this.#subscriber = undefined
  }

  /**
   * A connection of its own, since one that subscribes takes no other commands. It subscribes anew by itself.
   */
  #subscribed(): RedisConnection {
    const subscriber = this.#connection.duplicate({
      maxRetriesPerRequest: null,
      enableOfflineQueue: true,
      lazyConnect: false,
    })
    // The calls of the other connection tell that Redis is away.
    subscriber.on('error', () => {})
    subscriber.on('message', (_channel: string, name: string) => {
      for (const onForgotten of this.#watchers) onForgotten(name)
    })
    subscriber.subscribe(this.#channel).catch(() => {})
    return subscriber
  }

  get #channel(): string {
    return this.#key('forgotten')
  }

  #key(name: string): string {
    return this.#prefix + name
  }

  #run(script: Script, args: readonly (string | number)[]): Promise<unknown> {
    return this.#calls.run(script, this.#prefix, args)
  }

  #oldest(list: string, until: number): Promise<string[]> {
    return this.#calls.ask((redis) => redis.zrangebyscore(this.#key(list), '-inf', until, 'LIMIT', 0, BATCH))
  }

  /** The record of a set with its pieces, and its text without them. */
  async #whole(name: string): Promise<{ text: string; record: KeySetRecord | undefined }> {
    const [text, used, pieces] = (await this.#run(READ_WHOLE, [name])) as [string, string, string[]]
    if (text === '') return { text, record: undefined }
    const record = recordOf(name, text, used)
    return { text, record: { ...record, ...(pieces.length > 0 && { pieces: pieces.map(pieceOf) }) } }
  }

  /** The records of those sets that exist, without pieces. */
  async #read(names: readonly string[]): Promise<NamedKeySet[]> {
    const texts = (await this.#run(READ, names)) as string[]
    return names.flatMap((name, i): NamedKeySet[] => {
      const [text, used] = texts.slice(2 * i)
      return text === '' ? [] : [[name, recordOf(name, text, used)]]
    })
  }
}

const retiredSets = (found: readonly string[], reason: RemovalReason): RetiredKeySet[] =>
  inThrees(found).map(([name, text, used]) => ({ name, record: recordOf(name, text, used), reason }))

function inThrees(texts: readonly string[]): [string, string, string][] {
  const threes: [string, string, string][] = []
  for (let i = 0; i < texts.length; i += 3) threes.push([texts[i], texts[i + 1], texts[i + 2]])
  return threes
}

/** @throws Error for a text that no process of this version has written */
function recordOf(name: string, text: string, used: string): KeySetRecord {
  const record = parsedRecord(text)
  if (record === undefined) throw new Error(`The record of the key set ${name.slice(0, 12)} is damaged`)
  return used === '' ? record : { ...record, used: Number(used) }
}

const textOf = ({ tag, bytes, digest }: Piece): string => `${tag}:${bytes}:${digest}`

function pieceOf(text: string): Piece {
  const [tag, bytes, digest] = text.split(':')
  return { tag, bytes: Number(bytes), digest }
}

const lostTurn = (): PolyVeilError =>
  new PolyVeilError('TOO_BUSY', 'Another server has taken over this key set meanwhile', {
    retryAfter: RETRY_SECONDS,
  })
