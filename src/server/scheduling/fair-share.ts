/**
 * Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): each name is charged the seconds of its
 * work, and the name with the least tag goes first. A name that was idle begins at the present virtual time,
 * so that unused time is neither saved up nor owed.
 */
export class FairShare {
  /** Virtual time at which the work that a name has started is paid for. */
  readonly #paid = new Map<string, number>()
  #now = 0

  /** Virtual time at which the name's next work would start. */
  tagOf(name: string): number {
    return Math.max(this.#now, this.#paid.get(name) ?? 0)
  }

  /** Seconds of work that each other name has before the name's next one starts. */
  lagOf(name: string): number {
    return this.tagOf(name) - this.#now
  }

  /** Charges a name for work that starts now. */
  charge(name: string, seconds: number): void {
    const start = this.tagOf(name)
    this.#now = Math.max(this.#now, start)
    this.#paid.set(name, start + seconds)
    for (const [other, paid] of this.#paid) if (paid <= this.#now) this.#paid.delete(other)
  }

  /** Ends a busy period, in which no work runs or waits any more. All names begin alike afterwards. */
  rest(): void {
    this.#paid.clear()
  }
}

/** Work that waits for its turn. */
interface WaitingWork {
  readonly owner: string
  readonly seconds: number
}

/**
 * Seconds of waiting work that come before the next work of an owner, by estimate. Owners have equal shares:
 * of each other one comes as much first as of this owner, and one work beside. So an owner that fills the
 * queue makes its own waits longer, and not those of others.
 *
 * @param lag as `lagOf` the owner
 */
export function secondsBefore(owner: string, waiting: readonly WaitingWork[], lag = 0): number {
  const byOwner = Map.groupBy(waiting, (work) => work.owner)
  const own = secondsOf(byOwner.get(owner) ?? [])
  byOwner.delete(owner)
  const ofOthers = [...byOwner.values()].map((works) =>
    Math.min(secondsOf(works), own + lag + works[0].seconds),
  )
  return ofOthers.reduce((sum, seconds) => sum + seconds, own)
}

const secondsOf = (works: readonly WaitingWork[]): number =>
  works.reduce((sum, { seconds }) => sum + seconds, 0)
