import type { Logger } from 'pino'

const PROBE_MILLISECONDS = 10_000
const UNWRITABLE = 'The audit log cannot be written, so the service takes no queries and no key sets'

/**
 * Whether the audit log can be written. A service whose audit log cannot is not ready, and then gets no
 * requests whose events would show that it can be again. So a line is tried now and then. It says how many
 * events are missing.
 */
export class AuditHealth {
  readonly #faults: Pick<Logger, 'error' | 'info'> | undefined
  readonly #milliseconds: number
  #tellGap: (missing: number) => void = () => {}
  #missing = 0
  #timer: NodeJS.Timeout | undefined

  /** @param faults the log that tells when the audit log cannot be written, and when it can be again */
  constructor(faults?: Pick<Logger, 'error' | 'info'>, probeMilliseconds = PROBE_MILLISECONDS) {
    this.#faults = faults
    this.#milliseconds = probeMilliseconds
  }

  get isWritable(): boolean {
    return this.#timer === undefined
  }

  /** @param tellGap writes a line with the number of events that are missing, and throws if it cannot */
  probeBy(tellGap: (missing: number) => void): void {
    this.#tellGap = tellGap
  }

  /** Writes a line. @throws errors of `write`, or of the line about the events that are missing before it */
  guard(write: () => void): void {
    try {
      if (!this.isWritable) this.#closeGap()
      write()
    } catch (err) {
      this.#fail(err)
      throw err
    }
  }

  /** Ends the probes. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #fail(err: unknown): void {
    this.#missing++
    if (!this.isWritable) return
    this.#faults?.error({ err }, UNWRITABLE)
    this.#timer = setInterval(() => this.#probe(), this.#milliseconds).unref()
  }

  #probe(): void {
    try {
      this.#closeGap()
    } catch {
      // The log has a line since the first failure.
    }
  }

  #closeGap(): void {
    this.#tellGap(this.#missing)
    this.#missing = 0
    this.close()
    this.#faults?.info('The audit log can be written again')
  }
}
