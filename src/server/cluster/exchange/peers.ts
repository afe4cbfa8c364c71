import { z } from 'zod'
import type { RedisLog, SharedRedis } from './redis.ts'

/** A process that has not told for so long that it lives counts as ended. */
export const SILENT_MILLISECONDS = 6000
const BEAT_MILLISECONDS = 1000

const workerFactsSchema = z.object({
  name: z.string(),
  /** Whether it takes inferences. */
  accepts: z.boolean(),
  /** Inferences that it could begin at once. */
  freePlaces: z.int(),
  /** Threads that work at one inference. */
  threads: z.int(),
  waiting: z.int(),
  computing: z.int(),
  paused: z.int(),
  waitSeconds: z.number(),
  loadedKeySets: z.int(),
  heldBytes: z.number(),
})

/** What a worker process tells of itself. */
export type WorkerFacts = z.infer<typeof workerFactsSchema>

/**
 * The processes of a cluster. Each tells every second that it lives, by a key that expires. The clock of
 * Redis decides alone.
 */
export class Peers {
  readonly #redis: SharedRedis
  readonly #log: RedisLog
  readonly #timer: NodeJS.Timeout
  readonly #self: string
  readonly #facts: (() => WorkerFacts) | undefined
  readonly #lost: ((name: string) => void)[] = []
  /** Each gives processes whose end matters to it. */
  readonly #awaited: (() => Iterable<string>)[] = []
  readonly #heirs: ((name: string) => void)[] = []
  #workers: readonly WorkerFacts[] = []
  #known = new Set<string>()
  #beating: Promise<void> = Promise.resolve()
  #isClosed = false

  /** @param facts of this process, where it is a worker */
  private constructor(redis: SharedRedis, self: string, log: RedisLog, facts?: () => WorkerFacts) {
    this.#redis = redis
    this.#self = self
    this.#log = log
    this.#facts = facts
    this.#timer = setInterval(() => void this.beat(), BEAT_MILLISECONDS).unref()
  }

  /** Joins the cluster, and reads who else is there. @throws TOO_BUSY (503) when Redis is away */
  static async join(
    redis: SharedRedis,
    self: string,
    log: RedisLog,
    facts?: () => WorkerFacts,
  ): Promise<Peers> {
    const peers = new Peers(redis, self, log, facts)
    await peers.#beatOnce()
    return peers
  }

  /**
   * Calls back with the name of each worker process that is seen to have ended, and of each process among
   * those that are waited for that does not live, perhaps repeatedly.
   *
   * @param awaited the processes that are waited for, read every second
   */
  onLost(listener: (name: string) => void, awaited: () => Iterable<string> = () => []): void {
    this.#lost.push(listener)
    this.#awaited.push(awaited)
  }

  /** Calls back with the name of each worker process that ends without leaving, in one process of all. */
  onInheritance(listener: (name: string) => void): void {
    this.#heirs.push(listener)
  }

  /** The worker processes that live, as of the last second. */
  get workers(): readonly WorkerFacts[] {
    return this.#workers
  }

  /** Whether a process lives. @throws TOO_BUSY (503) when Redis is away */
  async isAlive(name: string): Promise<boolean> {
    return (await this.#redis.run((commands) => commands.exists(this.#beatName(name)))) === 1
  }

  /** Tells at once that this process lives, with its facts, and reads those of others. */
  beat(): Promise<void> {
    this.#beating = this.#beating.then(() => this.#beatOnce()).catch((err) => this.#failed(err))
    return this.#beating
  }

  /** Leaves the cluster. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#timer)
    await this.#beating
    await this.#redis
      .run((commands) => commands.multi().del(this.#beatName(this.#self)).srem(this.#list, this.#self).exec())
      .catch(() => {})
  }

  async #beatOnce(): Promise<void> {
    if (this.#isClosed) return
    await this.#redis.run(async (commands) => {
      const facts = this.#facts?.()
      const beat = commands
        .multi()
        .set(this.#beatName(this.#self), JSON.stringify(facts ?? null), 'PX', SILENT_MILLISECONDS)
      if (facts) beat.sadd(this.#list, this.#self)
      await beat.exec()
      const names = await commands.smembers(this.#list)
      const awaited = new Set(this.#awaited.flatMap((read) => [...read()]))
      const others = [...awaited].filter((name) => !names.includes(name))
      const all = [...names, ...others]
      const beats = all.length === 0 ? [] : await commands.mget(all.map((name) => this.#beatName(name)))
      await this.#note(names, beats.slice(0, names.length))
      const ended = others.filter((_, index) => beats[names.length + index] === null)
      for (const name of ended) this.#tellLost(name)
    })
  }

  /** @param beats the facts of each name; null for one that has ended */
  async #note(names: readonly string[], beats: readonly (string | null)[]): Promise<void> {
    const found = beats.flatMap((text) => {
      const parsed = workerFactsSchema.safeParse(text === null ? null : JSON.parse(text))
      return parsed.success ? [parsed.data] : []
    })
    const before = this.#known
    this.#workers = found
    this.#known = new Set(found.map(({ name }) => name))
    for (const name of names.filter((_, index) => beats[index] === null)) await this.#inherit(name)
    for (const name of before) if (!this.#known.has(name)) this.#tellLost(name)
  }

  #tellLost(name: string): void {
    for (const tell of this.#lost) tell(name)
  }

  /** One process alone gets a worker that has ended off the list. */
  async #inherit(name: string): Promise<void> {
    const removed = await this.#redis.run((commands) => commands.srem(this.#list, name))
    if (removed === 1) for (const tell of this.#heirs) tell(name)
  }

  /** While Redis is away, no worker can be reached. */
  #failed(err: unknown): void {
    if (this.#workers.length > 0) this.#log.warn({ err }, 'Other processes cannot be seen')
    this.#workers = []
  }

  /** The set of the worker processes. */
  get #list(): string {
    return this.#redis.name('workers')
  }

  #beatName(name: string): string {
    return this.#redis.name('beat', name)
  }
}
