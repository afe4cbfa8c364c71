import { PolyVeilError } from '../../errors/index.ts'
import { noSuchKeySet } from './key-set-errors.ts'

/** A part on which nothing has come for so long leaves its place to another one at the same offset. */
const SILENT_MILLISECONDS = 5000
const LOOK_MILLISECONDS = 250

/** A part that arrives now. */
interface Arriving {
  readonly offset: number
  readonly end: AbortController
  /** Since when its next bytes are waited for; absent while bytes are stored. */
  waitingSince?: number
}

/**
 * Parts of key sets that arrive now, one of a set. They can be ended before their client sends more, which
 * may be never: a connection can be lost without a word.
 */
export class ArrivingParts {
  /** By name of their set. */
  readonly #arriving = new Map<string, Arriving>()
  /** Names of sets that are being removed. */
  readonly #leaving = new Set<string>()

  /** Stores the bytes of a part, in the turn of its set, until another method of this class ends it. */
  async store<T>(
    name: string,
    offset: number,
    part: AsyncIterable<Uint8Array>,
    write: (part: AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<T> {
    if (this.#leaving.has(name)) throw noSuchKeySet()
    const arriving: Arriving = { offset, end: new AbortController() }
    this.#arriving.set(name, arriving)
    try {
      return await write(chunksOf(part, arriving))
    } finally {
      this.#arriving.delete(name)
    }
  }

  /**
   * Waits for a turn, and ends the part that has it when it is at the same offset and has been silent for
   * some seconds. Its client has most probably begun anew.
   */
  async takingOver<T>(name: string, offset: number, turn: (begun: () => void) => Promise<T>): Promise<T> {
    const look = setInterval(() => {
      const arriving = this.#arriving.get(name)
      if (arriving?.offset === offset && silenceOf(arriving) >= SILENT_MILLISECONDS) {
        arriving.end.abort(takenOver())
      }
    }, LOOK_MILLISECONDS)
    const begun = (): void => clearInterval(look)
    try {
      return await turn(begun)
    } finally {
      begun()
    }
  }

  /**
   * Runs a removal. Parts of the set that arrive, or wait for their turn, end with KEYS_EXPIRED, so that it
   * does not wait for clients that have stopped sending.
   */
  async removing<T>(name: string, removal: () => Promise<T>): Promise<T> {
    this.#leaving.add(name)
    this.#arriving.get(name)?.end.abort(noSuchKeySet())
    try {
      return await removal()
    } finally {
      this.#leaving.delete(name)
    }
  }
}

const silenceOf = ({ waitingSince }: Arriving): number =>
  waitingSince === undefined ? 0 : performance.now() - waitingSince

/** The chunks of a part until its signal is aborted. @throws the reason then */
async function* chunksOf(part: AsyncIterable<Uint8Array>, arriving: Arriving): AsyncGenerator<Uint8Array> {
  const { signal } = arriving.end
  const chunks = part[Symbol.asyncIterator]()
  // A promise of its own for each chunk: one for all would keep all chunks in memory.
  let stop = (): void => {}
  const onAbort = (): void => stop()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    for (;;) {
      signal.throwIfAborted()
      const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Uint8Array>>()
      stop = () => reject(signal.reason)
      arriving.waitingSince = performance.now()
      chunks.next().then(resolve, reject)
      const { done, value } = await promise
      arriving.waitingSince = undefined
      if (done) return
      yield value
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    // It ends when its client sends something or goes, for which nobody waits.
    chunks.return?.().catch(() => {})
  }
}

const takenOver = (): PolyVeilError =>
  new PolyVeilError('TOO_BUSY', 'Another request sends this part, and nothing has come on this one for long')
