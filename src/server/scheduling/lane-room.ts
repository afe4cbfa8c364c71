/** Engine memory of a session, by whom it is shared with. */
export interface SessionRoom {
  /** Name of the key set. Sessions of one key set share its keys. */
  readonly keySet: string
  /** Digest of the circuit. Sessions of one circuit share its constants. */
  readonly circuit: string
  /** In bytes. */
  readonly keys: number
  readonly constants: number
  readonly program: number
}

/**
 * The engine memory of one worker that inferences under way hold. What is cached beside them can be evicted.
 */
export class LaneRoom {
  readonly #bytes: number
  readonly #held: SessionRoom[] = []

  /** @param bytes of the worker's engine */
  constructor(bytes: number) {
    this.#bytes = bytes
  }

  /**
   * Whether an inference fits beside those under way. One that no room would suffice for fits an empty lane,
   * where the worker refuses it with the numbers.
   */
  fits(session: SessionRoom): boolean {
    return this.#held.length === 0 || bytesOf([...this.#held, session]) <= this.#bytes
  }

  /** Whether an inference of this key set and circuit is under way. One session runs one at a time. */
  isRunning({ keySet, circuit }: SessionRoom): boolean {
    return this.#held.some((held) => held.keySet === keySet && held.circuit === circuit)
  }

  hold(session: SessionRoom): void {
    this.#held.push(session)
  }

  release(session: SessionRoom): void {
    const index = this.#held.indexOf(session)
    if (index >= 0) this.#held.splice(index, 1)
  }

  /** Bytes that inferences under way hold. */
  get held(): number {
    return bytesOf(this.#held)
  }
}

/** Bytes of sessions together, with what they share counted once. */
function bytesOf(sessions: readonly SessionRoom[]): number {
  const parts = new Map<string, number>()
  for (const { keySet, circuit, keys, constants, program } of sessions) {
    parts.set(`keys ${keySet}`, Math.max(keys, parts.get(`keys ${keySet}`) ?? 0))
    parts.set(`constants ${circuit}`, constants)
    parts.set(`program ${keySet} ${circuit}`, program)
  }
  return [...parts.values()].reduce((sum, bytes) => sum + bytes, 0)
}
