import { Silence } from './network-error.ts'

/** Ends a request whose server says nothing for too long. */
export class SilenceLimit {
  readonly #controller = new AbortController()
  #timer: ReturnType<typeof setTimeout> | undefined

  /** @param milliseconds until the first byte of the answer has to be there */
  constructor(milliseconds: number) {
    this.allow(milliseconds)
  }

  /** Aborted with a `Silence` when the time is over. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Something came: so long may the next take. */
  allow(milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#controller.abort(new Silence(milliseconds / 1000)), milliseconds)
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}
