/** Runs tasks of the same name one after another, and tasks of different names concurrently. */
export class Serial {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Runs `task` after all earlier tasks of the name have succeeded or failed. */
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
