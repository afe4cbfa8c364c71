import { PolyVeilError } from '../../../errors/index.ts'

// Words that all threads of a run share.
const ARRIVED = 0
const GENERATION = 1
const VERDICT = 2
const REQUEST = 3
const PRESENT = 4
const WORDS = 5

/** State of a run, which every thread reads after a barrier. */
export const VERDICT_RUN = 0
export const VERDICT_STOP = 1
export const VERDICT_FAILED = 2
export type Verdict = typeof VERDICT_RUN | typeof VERDICT_STOP | typeof VERDICT_FAILED

/**
 * Reads of the word before a waiting thread goes to sleep. The other threads nearly always arrive within
 * microseconds.
 */
const SPINS = 4000
/** A thread that does not arrive within this time counts as lost; no phase takes nearly as long. */
const PATIENCE_MILLISECONDS = 20_000
/** The same for a thread that has to start first, which reads its modules from the disk. */
const START_MILLISECONDS = 120_000
/** Between two looks for threads that are starting, in case a browser loses the call that wakes this one. */
const LOOK_MILLISECONDS = 500

/**
 * A barrier between phases. The last thread that arrives decides the verdict, so that all threads leave the
 * barrier with the same one; a failure is visible at any time.
 */
export class Barrier {
  readonly shared: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #threads: number
  readonly #patience: number
  readonly #startPatience: number

  /**
   * @param threads that arrive at each barrier, the calling one included
   * @param shared of the other threads' barrier; by default a new one
   * @param patience milliseconds after which a missing thread counts as lost
   */
  constructor(threads: number, shared = new SharedArrayBuffer(4 * WORDS), patience?: number) {
    this.shared = shared
    this.#threads = threads
    this.#patience = patience ?? PATIENCE_MILLISECONDS
    this.#startPatience = patience ?? START_MILLISECONDS
    this.#words = new Int32Array(shared)
  }

  /** Announces the calling thread to `present`. */
  join(): void {
    Atomics.add(this.#words, PRESENT, 1)
    Atomics.notify(this.#words, PRESENT)
  }

  /**
   * Resolves when all other threads have joined. Meanwhile the calling thread handles events.
   *
   * @throws WORKER_LOST when one of them does not join
   */
  async present(): Promise<void> {
    for (const begun = performance.now(); ; ) {
      const count = Atomics.load(this.#words, PRESENT)
      if (count >= this.#threads - 1) return
      const left = this.#startPatience - (performance.now() - begun)
      if (left <= 0) throw lost('A thread of the engine did not begin')
      await Atomics.waitAsync(this.#words, PRESENT, count, Math.min(left, LOOK_MILLISECONDS)).value
    }
  }

  /**
   * Waits until all threads have arrived, or one has failed.
   *
   * @returns the verdict of the last thread that arrived, the same for all
   * @throws WORKER_LOST when one does not arrive
   */
  arrive(): Verdict {
    const generation = Atomics.load(this.#words, GENERATION)
    // This check must follow the load of the generation: a failing thread sets the verdict first and opens
    // the next generation then, which no thread would open again.
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

  /** Ends the run at the next barrier of the calling thread, where every thread reads the verdict. */
  stop(): void {
    Atomics.store(this.#words, REQUEST, VERDICT_STOP)
  }

  /** Ends the run now: waiting threads wake up, and later ones do not wait. */
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
    // A wake-up may be late: it may come from the thread that opened the previous barrier.
    while (Atomics.load(this.#words, GENERATION) === generation) {
      const outcome = Atomics.wait(this.#words, GENERATION, generation, this.#patience)
      if (outcome === 'timed-out' && Atomics.load(this.#words, GENERATION) === generation) {
        throw lost('A thread of the engine did not finish its share')
      }
    }
  }
}

const lost = (message: string): PolyVeilError => new PolyVeilError('WORKER_LOST', message)
