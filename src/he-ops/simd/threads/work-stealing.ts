/**
 * Distributes the pieces of a phase by work stealing. Each thread first takes its own pieces, which are
 * neighbours, and then steals from the end of the other threads' pieces. A slow thread therefore delays the
 * others by at most one piece.
 *
 * All threads pass from phase to phase together, and end a phase only when all its pieces are taken. So every
 * piece was taken as often as phases have begun, or once less.
 */
export class WorkStealing {
  readonly shared: SharedArrayBuffer
  readonly #turns: Int32Array
  /** Pieces in the order in which this thread tries to take them. */
  readonly #order: readonly number[]
  #phases = 0

  /**
   * @param thread that takes pieces; 0 to `threads` - 1
   * @param pieces of each phase, a multiple of `threads`
   * @param shared of the other threads in the same run; by default new
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
   * Takes pieces of the next phase until none is left.
   * @param body runs a piece that this thread has taken
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
