/** Runs tasks of one name one after another, and those of different names side by side. */
export class Serial {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Runs `task` when every earlier one of the name has ended, however it ended. */
  async run<T>(name: string, task: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name) ?? Promise.resolve()
    const now = before.then(task)
    const settled = now.catch(() => undefined)
    this.#last.set(name, settled)
    try {
      return await now
    } finally {
      if (this.#last.get(name) === settled) this.#last.delete(name)
    }
  }
}
