import { PolyVeilError } from '../../../errors/index.ts'

// Words that the threads of one run share.
const ARRIVED = 0
const GENERATION = 1
const VERDICT = 2
const REQUEST = 3
const PRESENT = 4
const WORDS = 5

/** How a run stands, as every thread finds it after a barrier. */
export const VERDICT_RUN = 0
export const VERDICT_STOP = 1
export const VERDICT_FAILED = 2
export type Verdict = typeof VERDICT_RUN | typeof VERDICT_STOP | typeof VERDICT_FAILED

/**
 * Looks at the word this often before the thread goes to sleep: the others are nearly always there within
 * microseconds.
 */
const SPINS = 4000
/** No phase takes nearly so long; a thread that does not come until then is lost. */
const PATIENCE_MILLISECONDS = 120_000

/**
 * Where the threads of a run wait for each other after each phase. Verdicts are settled by the last thread
 * that comes, so that all leave a barrier with the same one; a failure alone is learnt at any time.
 */
export class Barrier {
  readonly shared: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #threads: number
  readonly #patience: number

  /**
   * @param threads that meet here, the calling one included
   * @param shared of the other threads' barrier; by default a new one
   * @param patience milliseconds after which a thread that does not come is lost
   */
  constructor(
    threads: number,
    shared = new SharedArrayBuffer(4 * WORDS),
    patience: number = PATIENCE_MILLISECONDS,
  ) {
    this.shared = shared
    this.#threads = threads
    this.#patience = patience
    this.#words = new Int32Array(shared)
  }

  /** Says that a thread which `present` waits for has begun. */
  join(): void {
    Atomics.add(this.#words, PRESENT, 1)
    Atomics.notify(this.#words, PRESENT)
  }

  /**
   * Resolves when all threads but the calling one have joined; the calling one stays responsive.
   *
   * @throws WORKER_LOST when one does not
   */
  async present(): Promise<void> {
    for (;;) {
      const count = Atomics.load(this.#words, PRESENT)
      if (count >= this.#threads - 1) return
      const outcome = await Atomics.waitAsync(this.#words, PRESENT, count, this.#patience).value
      if (outcome === 'timed-out') throw lost('A thread of the engine did not begin')
    }
  }

  /**
   * Waits until all threads have come; nobody passes before, unless one fails.
   *
   * @returns the verdict that was settled when the last one came, the same for all
   * @throws WORKER_LOST when one does not come
   */
  arrive(): Verdict {
    const generation = Atomics.load(this.#words, GENERATION)
    // Looked at after the generation: who fails sets the verdict before it opens the next one, which nobody
    // will follow.
    if (this.#verdict === VERDICT_FAILED) return VERDICT_FAILED
    if (Atomics.add(this.#words, ARRIVED, 1) + 1 === this.#threads) {
      Atomics.store(this.#words, ARRIVED, 0)
      Atomics.compareExchange(this.#words, VERDICT, VERDICT_RUN, Atomics.load(this.#words, REQUEST))
      this.#open()
    } else {
      this.#await(generation)
    }
    return this.#verdict
  }

  /** Ends the run at the barrier that the calling thread comes to next: every thread learns of it there. */
  stop(): void {
    Atomics.store(this.#words, REQUEST, VERDICT_STOP)
  }

  /** Ends the run now: whoever waits wakes up, and who comes later does not wait. */
  fail(): void {
    Atomics.store(this.#words, VERDICT, VERDICT_FAILED)
    this.#open()
  }

  get #verdict(): Verdict {
    return Atomics.load(this.#words, VERDICT) as Verdict
  }

  #open(): void {
    Atomics.add(this.#words, GENERATION, 1)
    Atomics.notify(this.#words, GENERATION)
  }

  #await(generation: number): void {
    for (let spin = 0; spin < SPINS; spin++) {
      if (Atomics.load(this.#words, GENERATION) !== generation) return
    }
    // Being woken says nothing: whoever opened the barrier before this one may come to wake sleepers only
    // now.
    while (Atomics.load(this.#words, GENERATION) === generation) {
      const outcome = Atomics.wait(this.#words, GENERATION, generation, this.#patience)
      if (outcome === 'timed-out' && Atomics.load(this.#words, GENERATION) === generation) {
        throw lost('A thread of the engine did not finish its share')
      }
    }
  }
}

const lost = (message: string): PolyVeilError => new PolyVeilError('WORKER_LOST', message)
