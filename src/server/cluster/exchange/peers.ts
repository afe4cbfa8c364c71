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

/** @returns undefined for an HTTP process, and what is not understood, such as facts of another version */
function factsIn(beat: string | null): WorkerFacts | undefined {
  try {
    return workerFactsSchema.safeParse(JSON.parse(beat ?? 'null')).data
  } catch {
    return undefined
  }
}

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
  readonly #heirs: ((name: string) => void)[] = []
  readonly #watched: (() => Iterable<string>)[] = []
  readonly #beats: (() => void)[] = []
  #workers: readonly WorkerFacts[] = []
  #known = new Set<string>()
  #beating: Promise<void> = Promise.resolve()
  #lastBeat = performance.now()
  /** Until then no process counts as ended. */
  #patientUntil = 0
  #isClosed = false

  readonly #beatAgain = (): void => void this.beat()

  /** @param facts of this process, where it is a worker */
  private constructor(redis: SharedRedis, self: string, log: RedisLog, facts?: () => WorkerFacts) {
    this.#redis = redis
    this.#self = self
    this.#log = log
    this.#facts = facts
    this.#timer = setInterval(this.#beatAgain, BEAT_MILLISECONDS).unref()
    // A Redis that has lost its data does not know this process.
    redis.commands.on('ready', this.#beatAgain)
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
   * Calls back with the name of each process that has ended, in each process: of worker processes, and of
   * processes that are watched.
   */
  onLost(listener: (name: string) => void): void {
    this.#lost.push(listener)
  }

  /** Calls back with the name of each worker process that ends without leaving, in one process of all. */
  onInheritance(listener: (name: string) => void): void {
    this.#heirs.push(listener)
  }

  /** Watches processes, also those that have ended before. @param names at each beat */
  watch(names: () => Iterable<string>): void {
    this.#watched.push(names)
  }

  /** Calls back after each beat, about every second while Redis answers. */
  onBeat(listener: () => void): void {
    this.#beats.push(listener)
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
    this.#redis.commands.off('ready', this.#beatAgain)
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
      const workers = await commands.smembers(this.#list)
      const names = [...new Set([...workers, ...this.#watched.flatMap((watched) => [...watched()])])]
      const beats = names.length === 0 ? [] : await commands.mget(names.map((name) => this.#beatName(name)))
      await this.#note(names, beats)
    })
    for (const tell of this.#beats) tell()
  }

  /** @param beats the facts of each name; null for one that has ended */
  async #note(names: readonly string[], beats: readonly (string | null)[]): Promise<void> {
    const found = beats.flatMap((text) => factsIn(text) ?? [])
    this.#workers = found
    const present = new Set(found.map(({ name }) => name))
    const silent = names.filter((_, index) => beats[index] === null)
    const missing = new Set([...this.#known, ...silent].filter((name) => !present.has(name)))
    const isPatient = this.#isPatient()
    this.#known = isPatient ? new Set([...this.#known, ...present]) : present
    if (isPatient) return
    for (const name of silent) await this.#inherit(name)
    for (const name of missing) for (const tell of this.#lost) tell(name)
  }

  /**
   * While Redis stands still or is away, or this process stands still, signs of life expire unseen. So all
   * get the time to give new ones.
   */
  #isPatient(): boolean {
    const now = performance.now()
    if (now - this.#lastBeat > SILENT_MILLISECONDS / 2) this.#patientUntil = now + SILENT_MILLISECONDS
    this.#lastBeat = now
    return now < this.#patientUntil
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
