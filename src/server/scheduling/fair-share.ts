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
