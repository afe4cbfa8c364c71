import { publicTrouble, type StorageReason, StorageTrouble } from './storage-trouble.ts'
import { NO_LOG, type StoreLog } from './store-log.ts'

const PROBE_MILLISECONDS = 10_000

/** A small write that fails as long as the store cannot write. */
export type Probe = () => void | Promise<void>

/**
 * Whether the service can write its state. A write that fails ends this, with one line of the log. Then
 * small writes are tried now and then, and the first success of all of them restores it.
 */
export class StorageHealth {
  readonly #log: StoreLog
  readonly #milliseconds: number
  readonly #probes: Probe[] = []
  readonly #failures = new Map<StorageReason, number>()
  #timer: NodeJS.Timeout | undefined
  #isProbing = false

  constructor(log: StoreLog = NO_LOG, probeMilliseconds = PROBE_MILLISECONDS) {
    this.#log = log
    this.#milliseconds = probeMilliseconds
  }

  get isWritable(): boolean {
    return this.#timer === undefined
  }

  /** Writes that the disk refused, by reason. */
  get failures(): ReadonlyMap<StorageReason, number> {
    return this.#failures
  }

  /** Adds a write that has to succeed before the store counts as writable again. */
  addProbe(probe: Probe): void {
    this.#probes.push(probe)
  }

  /** Notes that a write failed. @returns the error to throw: see `publicTrouble` */
  failed(cause: unknown): unknown {
    const trouble = publicTrouble(cause)
    if (!(trouble instanceof StorageTrouble)) return trouble
    const { reason } = trouble
    this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1)
    if (this.isWritable) {
      this.#log.warn(
        { err: cause, reason },
        'The state cannot be written. The service is not ready until it can be written again',
      )
      this.#timer = setInterval(() => void this.probe(), this.#milliseconds).unref()
    }
    return trouble
  }

  /** Runs a write. @throws StorageTrouble; other errors of `write` */
  async guard<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write()
    } catch (cause) {
      throw this.failed(cause)
    }
  }

  /** Tries small writes, if an earlier write failed. */
  async probe(): Promise<void> {
    if (this.isWritable || this.#isProbing) return
    this.#isProbing = true
    try {
      for (const probe of this.#probes) await probe()
      this.#end()
      this.#log.info({}, 'The state can be written again')
    } catch {
      // The log has a line since the first failure.
    } finally {
      this.#isProbing = false
    }
  }

  close(): void {
    this.#end()
    this.#probes.length = 0
  }

  #end(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
