import { PolyVeilError } from '../../../errors/index.ts'

// Words that the threads of one run share.
const ARRIVED = 0
const GENERATION = 1
const VERDICT = 2
const WORDS = 3

/** How a run stands, as every thread finds it after a barrier. */
export const VERDICT_RUN = 0
export const VERDICT_STOP = 1
export const VERDICT_FAILED = 2
export type Verdict = typeof VERDICT_RUN | typeof VERDICT_STOP | typeof VERDICT_FAILED

/** Looks at the word this often before the thread goes to sleep: the others are nearly always there within microseconds. */
const SPINS = 4000
const SLEEP_MILLISECONDS = 1000
/** No phase takes nearly so long; a thread that does not come until then is lost. */
const PATIENCE_MILLISECONDS = 120_000

/** Where the threads of a run wait for each other after each phase. */
export class Barrier {
  readonly shared: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #threads: number

  constructor(threads: number, shared = new SharedArrayBuffer(4 * WORDS)) {
    this.shared = shared
    this.#threads = threads
    this.#words = new Int32Array(shared)
  }

  /**
   * Waits until all threads have come; nobody passes before.
   *
   * @returns the verdict that was there when the last one came
   * @throws WORKER_LOST when one does not come
   */
  arrive(): Verdict {
    const generation = Atomics.load(this.#words, GENERATION)
    if (Atomics.add(this.#words, ARRIVED, 1) + 1 === this.#threads) {
      Atomics.store(this.#words, ARRIVED, 0)
      this.#open()
    } else {
      this.#await(generation)
    }
    return this.#verdict
  }

  /** Ends the run at the next barrier: every thread learns of it there. */
  stop(): void {
    Atomics.store(this.#words, VERDICT, VERDICT_STOP)
  }

  /** Ends the run now: whoever waits wakes up. */
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
    const deadline = performance.now() + PATIENCE_MILLISECONDS
    while (Atomics.load(this.#words, GENERATION) === generation) {
      Atomics.wait(this.#words, GENERATION, generation, SLEEP_MILLISECONDS)
      if (performance.now() > deadline) {
        throw new PolyVeilError('WORKER_LOST', 'A thread of the engine did not finish its share')
      }
    }
  }
}
