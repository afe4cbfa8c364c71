import { InferenceCancelled } from '../inference/engine.ts'
import { FairShare, secondsBefore } from './fair-share.ts'
import { Lanes, type LanesOptions } from './lanes.ts'
import { type QueuedRequest, type QueueLimits, refusalOf } from './queue-limits.ts'
import { type Turn, type TurnRequest, TurnUnderWay } from './turn.ts'

export interface SchedulerOptions extends LanesOptions, QueueLimits {
  /** Inferences of one owner that are computed for at once. */
  readonly placesPerOwner: number
  /** Inferences of one owner under way at once, those that wait for their client included. */
  readonly mostPerOwner: number
  /** The same of one key set. */
  readonly mostPerKeySet: number
  /**
   * Time that a client may be silent in a refresh round while its memory keeps others from starting, in
   * milliseconds.
   */
  readonly silenceMilliseconds: number
}

interface Waiting {
  readonly request: TurnRequest
  readonly arrival: number
  readonly start: (turn: Turn) => void
  /**
   * Inferences that came later or have fewer claims, and started before it, because they take less memory.
   */
  overtaken: number
}

/** So often others may overtake an inference that waits for memory. */
const MOST_OVERTAKES = 16
/** Between two looks for silent clients, while an inference waits for memory. */
const LOOK_MILLISECONDS = 500

/**
 * Decides which inference starts when, and on which worker. A place is taken by computing alone: while an
 * inference waits for its client it keeps only its memory. Owners get equal shares of the workers' seconds,
 * and so do the key sets of an owner.
 */
export class Scheduler {
  readonly lanes: Lanes
  readonly #options: SchedulerOptions
  readonly #owners = new FairShare()
  readonly #keySets = new FairShare()
  readonly #waiting = new Set<Waiting>()
  /** Inferences whose queries have not arrived. */
  readonly #arriving = new Set<QueuedRequest>()
  readonly #underWay = new Set<TurnUnderWay>()
  #arrivals = 0
  #look: NodeJS.Timeout | undefined

  constructor(options: SchedulerOptions) {
    this.#options = options
    this.lanes = new Lanes(options)
  }

  /** Inferences that wait for their turn. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Inferences that are computed for. */
  get computing(): number {
    return this.#count(({ isPaused }) => !isPaused)
  }

  /** Inferences that wait for their clients. */
  get paused(): number {
    return this.#count(({ isPaused }) => isPaused)
  }

  /** Seconds in which all that runs and waits is done, by estimate. Nobody who comes now waits longer. */
  get waitSeconds(): number {
    return this.#backlogSeconds / this.lanes.places
  }

  /**
   * Announces an inference whose query is about to arrive. It counts for others that are announced, so that
   * of many at once those are refused early that would be refused when they have arrived.
   *
   * @returns a function to call when the query has arrived, or will not
   * @throws TOO_BUSY as `take`, if there is neither a place nor room in the queue
   */
  announce(owner: string): () => void {
    const before = [...[...this.#waiting].map(({ request }) => queued(request)), ...this.#arriving]
    // The first of them take the places that are free.
    const waiting = before.slice(this.lanes.freePlaces)
    const isWaiting = before.length >= this.lanes.freePlaces
    const refusal = isWaiting && refusalOf({ owner }, waiting, this.#waitSecondsOf(owner), this.#options)
    if (refusal) throw refusal
    const arriving = { owner }
    this.#arriving.add(arriving)
    return () => this.#arriving.delete(arriving)
  }

  /**
   * Waits for a turn.
   *
   * @param signal ends the wait
   * @throws TOO_BUSY with `retryAfter` when the queue, or the part of it that one client may fill, is full
   * @throws InferenceCancelled
   */
  take(request: TurnRequest, signal: AbortSignal): Promise<Turn> {
    const { promise, resolve, reject } = Promise.withResolvers<Turn>()
    if (signal.aborted) reject(new InferenceCancelled())
    else this.#enter(request, signal, resolve, reject)
    return promise
  }

  #enter(
    request: TurnRequest,
    signal: AbortSignal,
    resolve: (turn: Turn) => void,
    reject: (error: unknown) => void,
  ): void {
    if (this.waiting === 0 && this.computing === 0) this.#rest()
    const waitSeconds = this.#waitSecondsOf(request.owner)
    const leave = (): void => {
      this.#waiting.delete(waiting)
      reject(new InferenceCancelled())
      this.#startNext()
    }
    const start = (turn: Turn): void => {
      signal.removeEventListener('abort', leave)
      resolve(turn)
    }
    const waiting: Waiting = { request, arrival: this.#arrivals++, start, overtaken: 0 }
    this.#waiting.add(waiting)
    this.#startNext()
    if (!this.#waiting.has(waiting)) return
    const others = [...this.#waiting]
      .filter((other) => other !== waiting)
      .map((other) => queued(other.request))
    const refusal = refusalOf(queued(request), others, waitSeconds, this.#options)
    if (refusal) {
      this.#waiting.delete(waiting)
      reject(refusal)
    } else signal.addEventListener('abort', leave, { once: true })
  }

  #rest(): void {
    this.#owners.rest()
    this.#keySets.rest()
  }

  /** Starts all inferences that can start. */
  #startNext(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) this.#start(...next)
    this.#watchSilence()
  }

  /** The inference that starts next, and its worker. */
  #next(): [Waiting, lane: number] | undefined {
    if (!this.lanes.hasPlace) return undefined
    let blocked: Waiting | undefined
    for (const waiting of this.#inFairOrder()) {
      const lane = this.lanes.choose(waiting.request.session)
      if (lane !== undefined) {
        if (blocked) blocked.overtaken++
        return [waiting, lane]
      }
      if (this.lanes.lacksMemory(waiting.request.session)) blocked ??= waiting
      if (blocked && blocked.overtaken >= MOST_OVERTAKES) return undefined
    }
    return undefined
  }

  /** Those that their owners' shares allow to start, the one with the greatest claim first. */
  #inFairOrder(): Waiting[] {
    return [...this.#waiting]
      .filter(({ request }) => this.#hasShare(request))
      .map((waiting) => {
        const { owner, session } = waiting.request
        return { waiting, owner: this.#owners.tagOf(owner), keySet: this.#keySets.tagOf(session.keySet) }
      })
      .sort((a, b) => a.owner - b.owner || a.keySet - b.keySet || a.waiting.arrival - b.waiting.arrival)
      .map(({ waiting }) => waiting)
  }

  #hasShare({ owner, mostOfOwner, session: { keySet } }: TurnRequest): boolean {
    const { placesPerOwner, mostPerOwner, mostPerKeySet } = this.#options
    const ofOwner = [...this.#underWay].filter(({ request }) => request.owner === owner)
    return (
      ofOwner.length < (mostOfOwner ?? mostPerOwner) &&
      ofOwner.filter(({ isPaused }) => !isPaused).length < placesPerOwner &&
      this.#count(({ request: { session } }) => session.keySet === keySet) < mostPerKeySet
    )
  }

  #start(waiting: Waiting, lane: number): void {
    const { request, start } = waiting
    this.#waiting.delete(waiting)
    this.#owners.charge(request.owner, request.seconds)
    this.#keySets.charge(request.session.keySet, request.seconds)
    const turn = new TurnUnderWay(this.lanes, lane, request, (ended) => {
      if (ended) this.#underWay.delete(turn)
      this.#startNext()
    })
    this.#underWay.add(turn)
    start(turn)
  }

  get #backlogSeconds(): number {
    return [...this.#waiting].reduce((sum, { request }) => sum + request.seconds, this.#runningSeconds)
  }

  /** Seconds that inferences under way still keep workers busy, by estimate. */
  get #runningSeconds(): number {
    return [...this.#underWay].reduce((sum, turn) => sum + turn.secondsLeft, 0)
  }

  /** Seconds that an inference of an owner that comes now waits for its turn, by estimate. */
  #waitSecondsOf(owner: string): number {
    const waiting = [...this.#waiting].map(({ request }) => request)
    const before = secondsBefore(owner, waiting, this.#owners.lagOf(owner))
    return (this.#runningSeconds + before) / this.lanes.places
  }

  /** While an inference waits for memory, ends those whose clients have been silent for too long. */
  #watchSilence(): void {
    clearTimeout(this.#look)
    if (!this.#waitsForMemory) return
    this.#look = setTimeout(() => {
      this.#evictSilent()
      this.#watchSilence()
    }, LOOK_MILLISECONDS).unref()
  }

  get #waitsForMemory(): boolean {
    return (
      this.paused > 0 && this.#inFairOrder().some(({ request }) => this.lanes.lacksMemory(request.session))
    )
  }

  #evictSilent(): void {
    const [longest] = [...this.#underWay]
      .filter(({ isPaused }) => isPaused)
      .map(({ request }) => ({ request, silence: request.silence() }))
      .filter(({ silence }) => silence >= this.#options.silenceMilliseconds)
      .sort((a, b) => b.silence - a.silence)
    longest?.request.evict()
  }

  #count(isCounted: (turn: TurnUnderWay) => boolean): number {
    return [...this.#underWay].filter(isCounted).length
  }
}

const queued = ({ owner, session: { keySet } }: TurnRequest): QueuedRequest => ({ owner, keySet })
