import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { ERROR_CODES, PolyVeilError } from '../../../src/errors/index.ts'
import { isThorough } from '../../support/thorough.ts'

// A thorough run takes up to an hour a file.
if (isThorough) t.setTimeout(3_600_000)

/** How many times more inputs a thorough run tries: several 100 000 in all properties together. */
const THOROUGH = 100

/** Inputs that a property is tried with. */
const runs = (usual: number): { numRuns: number } => ({ numRuns: isThorough ? THOROUGH * usual : usual })

/** Processor time that one input may take, in microseconds. A busy machine does not change it. */
const MOST_MICROSECONDS = 1_000_000

/** Numbers that lengths and counts are replaced by. */
const NUMBERS = [
  0n,
  1n,
  255n,
  2n ** 16n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 40n,
  2n ** 63n,
  2n ** 64n - 1n,
]

interface Change {
  readonly kind: 'flip' | 'byte' | 'cut' | 'extend' | 'splice' | 'zeros' | 'number' | 'remove'
  /** Place and second place, as shares of the length. */
  readonly at: number
  readonly to: number
  readonly size: number
  readonly value: number
  readonly number: bigint
}

const share = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom('flip', 'byte', 'cut', 'extend', 'splice', 'zeros', 'number', 'remove'),
  // Most of the structure is at the beginning.
  at: fc.oneof(
    share,
    share.map((x) => x / 100),
    share.map((x) => x / 2000),
  ),
  to: share,
  size: fc.integer({ min: 1, max: 64 }),
  value: fc.integer({ min: 0, max: 255 }),
  number: fc.constantFrom(...NUMBERS),
})

function changed(bytes: Uint8Array, { kind, at, to, size, value, number }: Change): Uint8Array {
  const from = Math.floor(at * bytes.length)
  const target = Math.floor(to * bytes.length)
  const copy = Uint8Array.from(bytes)
  switch (kind) {
    case 'flip':
      if (copy.length > 0) copy[from] ^= 1 << (value % 8)
      return copy
    case 'byte':
      if (copy.length > 0) copy[from] = value
      return copy
    case 'cut':
      return copy.slice(0, from)
    case 'extend':
      return Uint8Array.from(Buffer.concat([copy, Buffer.alloc(size, value)]))
    case 'splice':
      copy.set(bytes.subarray(target, Math.min(target + size, target + bytes.length - from)), from)
      return copy
    case 'zeros':
      return copy.fill(0, from, from + size)
    case 'number': {
      const wide = size % 2 === 0 && from + 8 <= copy.length
      const view = new DataView(copy.buffer)
      if (wide) view.setBigUint64(from, number, true)
      else if (from + 4 <= copy.length) view.setUint32(from, Number(number & 0xffffffffn), true)
      return copy
    }
    case 'remove':
      return Uint8Array.from(Buffer.concat([copy.subarray(0, from), copy.subarray(from + size)]))
  }
}

/** Real bytes with a few changes. @param finish mends them afterwards, such as a digest at their end */
export const mutated = (
  seeds: readonly Uint8Array[],
  finish: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(fc.nat(seeds.length - 1), fc.array(change, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([seed, changes, isFinished]) => {
      const bytes = changes.reduce(changed, seeds[seed])
      return isFinished ? finish(bytes) : bytes
    })

/** Arbitrary bytes, and mutated real ones. */
export const hostileBytes = (
  seeds: readonly Uint8Array[],
  finish?: (bytes: Uint8Array) => Uint8Array,
): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    { weight: 4, arbitrary: mutated(seeds, finish) },
  )

/** Texts: arbitrary ones, and real ones with changes. */
export const hostileText = (...seeds: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    mutated(seeds.map((seed) => Buffer.from(seed))).map((bytes) => Buffer.from(bytes).toString()),
  )

/** Bytes whose last 32 are the SHA-256 of those before. */
export function resealed(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 32) return bytes
  bytes.set(createHash('sha256').update(bytes.subarray(0, -32)).digest(), bytes.length - 32)
  return bytes
}

/** Requires that an error is documented. @throws it otherwise */
export function requireDocumented(error: unknown, codes: readonly string[] = Object.keys(ERROR_CODES)): void {
  const isKnown = error instanceof PolyVeilError && error.code !== 'INTERNAL' && codes.includes(error.code)
  if (!isKnown) throw error
}

/** Tries each input. @param codes of the errors that may come; by default all but INTERNAL */
export async function neverFails<T>(
  inputs: fc.Arbitrary<T>,
  usual: number,
  parse: (input: T) => unknown,
  codes?: readonly string[],
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(inputs, async (input) => {
      const before = process.cpuUsage()
      try {
        await parse(input)
      } catch (error) {
        requireDocumented(error, codes)
      }
      const { user, system } = process.cpuUsage(before)
      if (user + system > MOST_MICROSECONDS) throw new Error(`${(user + system) / 1e6} s of processor time`)
    }),
    runs(usual),
  )
}
