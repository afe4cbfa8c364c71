/** A setting that has another value while a function runs. */
export class Scoped<T> {
  #value: T

  constructor(initial: T) {
    this.#value = initial
  }

  get value(): T {
    return this.#value
  }

  /** Runs a function under another value, and returns its result. */
  during<R>(value: T, run: () => R): R {
    const before = this.#value
    this.#value = value
    try {
      return run()
    } finally {
      this.#value = before
    }
  }
}
