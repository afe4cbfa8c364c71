import { z } from 'zod'
import { secondsBefore } from '../../scheduling/fair-share.ts'
import { type QueuedRequest, type QueueLimits, refusalOf } from '../../scheduling/queue-limits.ts'
import type { SharedRedis } from '../exchange/redis.ts'

/** An estimate may be wrong by so much. */
const LEEWAY_MILLISECONDS = 60_000

const waitingSchema = z.object({
  owner: z.string(),
  keySet: z.string(),
  seconds: z.number(),
  /** Its job in the queue. */
  job: z.string(),
  priority: z.int(),
  /** Milliseconds since 1970. */
  since: z.number(),
  /** The worker process whose own queue it is in; absent in the queue of all. */
  worker: z.string().optional(),
  /**
   * Milliseconds since 1970. Later it does not count any more: a process that ended between two steps must
   * not leave it for ever.
   */
  until: z.number(),
})

/** An inference that waits for a worker process. */
export type Waiting = z.infer<typeof waitingSchema>

/** The inferences that no worker has taken yet, of all HTTP processes. */
export class WaitingList {
  readonly #redis: SharedRedis
  readonly #limits: QueueLimits

  constructor(redis: SharedRedis, limits: QueueLimits) {
    this.#redis = redis
    this.#limits = limits
  }

  async all(): Promise<Waiting[]> {
    return (await this.entries()).map(([, waiting]) => waiting)
  }

  /** Those that wait, by name. */
  async entries(): Promise<(readonly [name: string, waiting: Waiting])[]> {
    const texts = await this.#redis.run((commands) => commands.hgetall(this.#key))
    const now = Date.now()
    const entries = Object.entries(texts).flatMap(([name, text]) => {
      const waiting = waitingIn(text)
      return waiting && waiting.until >= now ? [[name, waiting] as const] : []
    })
    const current = new Set(entries.map(([name]) => name))
    const stale = Object.keys(texts).filter((name) => !current.has(name))
    if (stale.length > 0) await this.#redis.run((commands) => commands.hdel(this.#key, ...stale))
    return entries
  }

  async get(name: string): Promise<Waiting | undefined> {
    const text = await this.#redis.run((commands) => commands.hget(this.#key, name))
    return text === null ? undefined : waitingIn(text)
  }

  /**
   * Throws when one more may not wait. Two processes that ask at once may both get the last place.
   *
   * @param waiting those that wait @param places at which inferences are computed for, in all workers
   * @throws TOO_BUSY
   */
  requireRoom(request: QueuedRequest, waiting: readonly Waiting[], places: number): void {
    const waitSeconds = secondsBefore(request.owner, waiting) / Math.max(1, places)
    const refusal = refusalOf(request, waiting, waitSeconds, this.#limits)
    if (refusal) throw refusal
  }

  async add(name: string, waiting: Omit<Waiting, 'until'>): Promise<void> {
    const until = Date.now() + 1000 * this.#limits.queueSeconds + LEEWAY_MILLISECONDS
    await this.#redis.run((commands) => commands.hset(this.#key, name, JSON.stringify({ ...waiting, until })))
  }

  async remove(name: string): Promise<void> {
    await this.#redis.run((commands) => commands.hdel(this.#key, name))
  }

  get #key(): string {
    return this.#redis.name('waiting')
  }
}

/** @returns undefined for what is not understood, such as an entry of another version */
function waitingIn(text: string): Waiting | undefined {
  try {
    return waitingSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

/** Seconds that an inference which comes now waits, by estimate. @param places as in `requireRoom` */
export const waitSecondsOf = (waiting: readonly Waiting[], places: number): number =>
  waiting.reduce((sum, { seconds }) => sum + seconds, 0) / Math.max(1, places)
