import type { LogitCoefficients } from '../../circuit/answer.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { type PackedFullRlwe, type PackedRlwe, SEED_BYTES } from '../../wire/index.ts'
import type { SimdContext } from './context.ts'
import type { OutputKeys } from './keys/output-key.ts'
import { aligned } from './memory/ranges.ts'
import { emitMasked, maskedScratch } from './operations/rerandomise.ts'
import { emitIngresses, type Return, returnScratch } from './operations/unmask.ts'
import type { ProgramBuilder } from './program/program.ts'
import { NOTES_BYTES } from './values/load-pair.ts'
import { readPacked, writePacked } from './values/packed-limbs.ts'
import { requireSound } from './values/pair-loader.ts'
import type { SeedExpander } from './values/seeds.ts'
import type { Value } from './values/values.ts'

// What passes between the engine and the client: how it is hidden before it leaves, and taken in when it
// comes back.

/** What hides the values that leave. */
export interface EgressOptions {
  readonly keys: OutputKeys
  /** Where the answer's logits are; all other coefficients are masked. */
  readonly logits: LogitCoefficients
  /** Integers from -bound to bound are added where the logits are. */
  readonly floodingBound: number
}

/** The values of one round: read when they leave, to be filled before they are taken in again. */
export interface RefreshRound {
  /** Level at which they leave. */
  readonly level: number
  /** At the highest level; until they are back, what travels lies where they will be. */
  readonly out: readonly Value[]
  readonly returns: readonly Return[]
}

/** The result as it leaves. */
export interface Output {
  readonly level: number
  /** Address of residues to be filled before each run, by `writeFlooding`. */
  readonly flooding: number
  readonly logits: LogitCoefficients
  readonly floodingBound: number
  /** Addresses of the packed polynomials, there after a run. */
  readonly packed: readonly [c0: number, c1: number]
}

/** What happens where a program stops. */
export interface Stop {
  /**
   * `leave`: a round's values go to the client. `await`: they are waited for, and put where the next phase
   * takes them in. `check`: it is looked at how that went.
   */
  readonly kind: 'send' | 'wait' | 'check'
  readonly round: number
}

/**
 * Scratch memory of each thread for what passes the border.
 *
 * @param leaving levels of the ciphertexts that leave
 * @param refreshed levels of those that come back
 */
export const egressScratch = (
  context: SimdContext,
  leaving: readonly number[],
  refreshed: readonly number[],
): number =>
  Math.max(
    ...leaving.map((level) => maskedScratch(context, level)),
    ...refreshed.map((level) => returnScratch(context, level + 1)),
  )

/**
 * Emits the phase after which a round's values may leave. Masks are drawn in it, and stay until
 * `emitIngress`.
 *
 * @param from at one level
 * @param out theirs alone from here on
 */
export function emitEgress(
  builder: ProgramBuilder,
  context: SimdContext,
  { keys }: EgressOptions,
  from: readonly Value[],
  out: readonly Value[],
): RefreshRound {
  const maskPrimes = from[0].primes
  const maskBytes = context.limbBytes * maskPrimes
  const recordBytes = aligned(NOTES_BYTES * out[0].primes + SEED_BYTES)
  const masks = builder.allocate(maskBytes * out.length)
  const records = builder.allocate(recordBytes * out.length)
  const returns = out.map(
    (value, i): Return => ({
      out: value,
      mask: masks + i * maskBytes,
      maskPrimes,
      seed: records + i * recordBytes,
      notes: records + i * recordBytes + SEED_BYTES,
    }),
  )
  const key = keys.at(from[0].primes - 1)
  emitMasked(
    builder,
    context,
    from.map((value, i) => {
      const [c0, c1] = out[i].polynomials
      return { value, key, mask: { address: returns[i].mask }, out: [c0, c1] }
    }),
  )
  return { level: from[0].primes - 1, out, returns }
}

/** Emits the phase that takes a round's values in again. */
export const emitIngress = (builder: ProgramBuilder, context: SimdContext, { returns }: RefreshRound): void =>
  emitIngresses(builder, context, returns)

/** Overwrites a round's masks with zeros. */
export function wipeMasks({ heap, ring }: SimdContext, { returns }: RefreshRound): void {
  for (const { mask, maskPrimes } of returns) heap.words(mask, ring * maskPrimes).fill(0)
}

/** Frees what a round had beside its values. */
export function freeRound(builder: ProgramBuilder, { returns: [{ mask, seed }] }: RefreshRound): void {
  builder.free(mask)
  builder.free(seed)
}

/**
 * Emits the phase after which the result may leave. Its memory is of no use to anything else, from the
 * beginning on.
 */
export function emitOutput(
  builder: ProgramBuilder,
  context: SimdContext,
  { keys, logits, floodingBound }: EgressOptions,
  value: Value,
  flooding: number,
): Output {
  const level = value.primes - 1
  const [c0, c1] = [0, 1].map(() => builder.allocate(context.limbBytes * value.primes))
  const packed = [c0, c1] as const
  emitMasked(builder, context, [{ value, key: keys.at(level), mask: { logits, flooding }, out: packed }])
  return { level, flooding, logits, floodingBound, packed }
}

/** Memory for the noise of an answer, to be taken before anything else. @param level of the result */
export const allocateFlooding = (builder: ProgramBuilder, { logits }: EgressOptions, level: number): number =>
  builder.allocate(aligned(4 * logits.count * (level + 1)))

/**
 * Puts the noise of an answer into kernel memory. @param integers one for each coefficient that carries
 * logits
 */
export function writeFlooding(
  { heap, moduli }: SimdContext,
  { flooding, level, logits }: Output,
  integers: Float64Array,
): void {
  const words = heap.words(flooding, logits.count * (level + 1))
  for (let i = 0; i <= level; i++) {
    const { q } = moduli[i]
    integers.forEach((integer, k) => {
      const rest = integer % q
      words[i * logits.count + k] = rest < 0 ? rest + q : rest
    })
  }
}

/** Overwrites it with zeros. */
export const wipeFlooding = ({ heap }: SimdContext, { flooding, level, logits }: Output): unknown =>
  heap.words(flooding, logits.count * (level + 1)).fill(0)

/** Copies of packed ciphertexts. @param packed addresses of both polynomials */
export function readEgress(context: SimdContext, [c0, c1]: readonly number[], level: number): PackedFullRlwe {
  return { limbs: readPacked(context, c0, level + 1), second: readPacked(context, c1, level + 1) }
}

/**
 * Puts what came back where the program takes it up.
 *
 * @throws TENSOR_MALFORMED when there are more or fewer ciphertexts, or they are of another level
 */
export function stageIngress(
  context: SimdContext,
  { returns }: RefreshRound,
  pairs: readonly PackedRlwe[],
): void {
  const fits =
    pairs.length === returns.length && pairs.every(({ limbs }, i) => limbs.length === returns[i].out.primes)
  if (!fits) {
    throw new PolyVeilError(
      'TENSOR_MALFORMED',
      `A round brings ${pairs.length} ciphertexts, not ${returns.length} at the highest level`,
    )
  }
  pairs.forEach(({ limbs, seed }, i) => {
    const { out, seed: seedAt } = returns[i]
    context.heap.bytes(seedAt, SEED_BYTES).set(seed)
    writePacked(context, out.polynomials[1], limbs)
  })
}

/**
 * Looks at what was noted when ciphertexts were taken in, and expands seeds anew where a word of their
 * streams has to be drawn anew.
 *
 * @throws TENSOR_MALFORMED when a residue is not below its prime
 */
export function completeIngress(
  context: SimdContext,
  seeds: SeedExpander,
  { returns }: RefreshRound,
  pairs: readonly PackedRlwe[],
): void {
  const { heap, limbBytes, ring } = context
  returns.forEach(({ out, notes: address }, i) => {
    const notes = heap.words(address, 2 * out.primes)
    let rejected = 0
    for (let limb = 0; limb < out.primes; limb++) {
      requireSound(notes[2 * limb] === 1, limb)
      rejected += notes[2 * limb + 1]
    }
    if (rejected === 0) return
    const { limbs, seed } = pairs[i]
    seeds
      .expandExactly(
        seed,
        limbs.map(({ prime }) => prime),
        ring,
      )
      .forEach((residues, limb) => {
        heap.words(out.polynomials[1] + limb * limbBytes, ring).set(Uint32Array.from(residues, Number))
      })
  })
}
