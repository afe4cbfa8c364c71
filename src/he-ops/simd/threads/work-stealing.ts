/**
 * Which pieces of the phase under way are taken. Each thread begins with its own, which are neighbours, and
 * then helps the others from the end of theirs: whoever is held up, by other work on its core or by items
 * that take longer, is waited for no longer than for one piece.
 *
 * Threads go from phase to phase together, and leave none before all pieces are taken. So a piece has been
 * taken as often as phases have begun, or once less.
 */
export class WorkStealing {
  readonly shared: SharedArrayBuffer
  readonly #turns: Int32Array
  /** Pieces in the order in which this thread looks at them. */
  readonly #order: readonly number[]
  #phases = 0

  /**
   * @param thread that claims; 0 to `threads` - 1
   * @param pieces of each phase, a multiple of `threads`
   * @param shared of the other threads' claims in one run; by default a new one
   */
  constructor(
    thread: number,
    threads: number,
    pieces: number,
    shared: SharedArrayBuffer = new SharedArrayBuffer(4 * pieces),
  ) {
    this.shared = shared
    this.#turns = new Int32Array(shared)
    this.#order = stealingOrder(thread, threads, pieces / threads)
  }

  /**
   * Takes pieces of the next phase for as long as there are any. @param body told which piece, after it was
   * taken
   */
  takeAll(body: (piece: number) => void): void {
    const turn = this.#phases++
    for (const piece of this.#order) {
      if (Atomics.compareExchange(this.#turns, piece, turn, turn + 1) === turn) body(piece)
    }
  }
}

/** A thread's own pieces, forwards, then those of each other thread, backwards. */
function stealingOrder(thread: number, threads: number, each: number): number[] {
  const own = Array.from({ length: each }, (_, i) => thread * each + i)
  const others = Array.from({ length: threads - 1 }, (_, i) => (thread + 1 + i) % threads)
  return [...own, ...others.flatMap((other) => own.map((_, i) => (other + 1) * each - 1 - i))]
}
