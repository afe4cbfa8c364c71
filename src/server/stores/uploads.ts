import { PolyVeilError } from '../../errors/index.ts'
import { MAX_PART_BYTES } from '../../wire/protocol/index.ts'
import { ArrivingParts } from './arriving-parts.ts'
import type { KeySetStorage, LocatedKeySet } from './key-set-bytes.ts'
import { noSuchKeySet, wrongOffset } from './key-set-errors.ts'
import type { Turn } from './key-set-index.ts'
import type { KeySetRecord } from './key-set-record.ts'
import type { AllLimits } from './key-store-limits.ts'
import type { Removals } from './removals.ts'

/**
 * An incomplete set expires after so many times the limit between two parts, plus the time that its bytes
 * take at the least rate, in bytes per millisecond. Otherwise a client could hold a place with a byte every
 * few minutes.
 */
const MOST_UPLOAD_LIMITS = 2
const LEAST_UPLOAD_RATE = 8

/**
 * Checks all of a received key set. Errors about the bytes delete the set; other errors leave it.
 */
export type VerifyKeySet = (record: KeySetRecord, keys: LocatedKeySet) => Promise<{ digest: string }>

/** Takes the parts of announced key sets, and completes the sets. */
export class Uploads {
  readonly #storage: KeySetStorage
  readonly #limits: AllLimits
  readonly #removals: Removals
  readonly #now: () => number
  readonly #parts = new ArrivingParts()

  constructor(storage: KeySetStorage, limits: AllLimits, removals: Removals, now: () => number) {
    this.#storage = storage
    this.#limits = limits
    this.#removals = removals
    this.#now = now
  }

  /** As `KeyStore.append`, by name. */
  append(name: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<KeySetRecord> {
    return this.#parts.takingOver(name, offset, (begun) =>
      this.#storage.index.alone(name, (turn) => {
        begun()
        return this.#appendIn(turn, name, offset, part)
      }),
    )
  }

  async #appendIn(
    turn: Turn,
    name: string,
    offset: number,
    part: AsyncIterable<Uint8Array>,
  ): Promise<KeySetRecord> {
    const { bytes } = this.#storage
    const record = requireLive(turn.record, this.#now())
    if (offset !== record.uploadOffset) throw wrongOffset(offset, record.uploadOffset)
    const room = Math.min(MAX_PART_BYTES, record.bytes - offset)
    const received = await this.#parts.store(name, offset, part, (chunks) =>
      bytes.write(name, record, atMost(room, chunks)),
    )
    if (received.uploadOffset === offset) return record
    const longer = this.#prolonged({ ...record, ...received })
    try {
      await turn.save(longer)
    } catch (error) {
      await bytes.cut(name, record)
      throw error
    }
    return longer
  }

  /** As `ArrivingParts.removing`. */
  removing<T>(name: string, removal: () => Promise<T>): Promise<T> {
    return this.#parts.removing(name, removal)
  }

  /** Checks a completely received key set once, and deletes it when its bytes are bad. */
  complete(name: string, verify: VerifyKeySet): Promise<KeySetRecord> {
    const { index, bytes } = this.#storage
    return index.alone(name, async (turn) => {
      const record = requireLive(turn.record, this.#now())
      if (record.digest !== undefined) return record
      try {
        const { digest } = await verify(record, { name, locate: () => bytes.location(name, record) })
        const used = this.#now()
        const complete = { ...record, digest, used, expires: used + this.#limits.ttlMilliseconds }
        await turn.save(complete)
        await bytes.cut(name, complete)
        return complete
      } catch (error) {
        if (isBad(error)) await this.#removals.remove(name, 'found bad')
        throw error
      }
    })
  }

  /** An incomplete set of which a part has just come. */
  #prolonged(record: KeySetRecord): KeySetRecord {
    const { uploadMilliseconds } = this.#limits
    const { uploadOffset, announced = this.#now() } = record
    const last = announced + MOST_UPLOAD_LIMITS * uploadMilliseconds + uploadOffset / LEAST_UPLOAD_RATE
    return { ...record, announced, expires: Math.min(this.#now() + uploadMilliseconds, last) }
  }
}

/** @throws KEYS_EXPIRED when there is no record, or it has expired */
export function requireLive(record: KeySetRecord | undefined, now: number): KeySetRecord {
  if (record && record.expires > now) return record
  throw noSuchKeySet()
}

async function* atMost(room: number, part: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of part) {
    bytes += chunk.length
    if (bytes > room) {
      throw new PolyVeilError('TOO_LARGE', `The part is longer than the ${room} bytes that belong here`, {
        maxBytes: room,
      })
    }
    yield chunk
  }
}

const isBad = (error: unknown): boolean =>
  error instanceof PolyVeilError &&
  ['TENSOR_MALFORMED', 'PARAMETERS_MISMATCH', 'TOO_LARGE'].includes(error.code)
