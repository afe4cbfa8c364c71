import type { LogitCoefficients } from '../../circuit/answer.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { type PackedFullRlwe, type PackedRlwe, SEED_BYTES } from '../../wire/index.ts'
import type { SimdContext } from './context.ts'
import type { OutputKeys } from './keys/output-key.ts'
import { aligned } from './memory/ranges.ts'
import { emitMasked, maskedScratch } from './operations/rerandomise.ts'
import { emitIngresses, type Ingress, ingressScratch } from './operations/unmask.ts'
import type { ProgramBuilder } from './program/program.ts'
import { NOTES_BYTES } from './values/load-pair.ts'
import { readPacked, writePacked } from './values/packed-limbs.ts'
import { requireSound } from './values/pair-loader.ts'
import type { SeedExpander } from './values/seeds.ts'
import type { Value } from './values/values.ts'

// Ciphertexts between engine and client. Egress masks values before they are sent; ingress takes the client's
// fresh encryptions in.

/** Keys and masks for values that are sent. */
export interface EgressOptions {
  readonly keys: OutputKeys
  /** Coefficients that carry the answer's logits; all other coefficients are masked. */
  readonly logits: LogitCoefficients
  /** Integers from -bound to bound are added to the coefficients that carry logits. */
  readonly floodingBound: number
}

/** The values of one refresh round. They are read when the round is sent, and written when it is taken in. */
export interface RefreshRound {
  /** Level of the masked values. */
  readonly level: number
  /**
   * Refreshed values, at the highest level. Until they are taken in, their memory holds the packed
   * ciphertexts that are sent and received.
   */
  readonly out: readonly Value[]
  readonly ingresses: readonly Ingress[]
}

/** The result as it is sent. */
export interface Output {
  readonly level: number
  /** Address of the noise, as residues, which `writeFlooding` writes before each run. */
  readonly flooding: number
  readonly logits: LogitCoefficients
  readonly floodingBound: number
  /** Addresses of the packed polynomials, which a run writes. */
  readonly packed: readonly [c0: number, c1: number]
}

/** The reason for which a program stops. */
export interface Stop {
  /**
   * `send`: the round's masked values go to the client. `wait`: the client's fresh encryptions are waited for
   * and copied to where the next phase reads them. `takeIn`: that phase is over, and its checks are read.
   */
  readonly kind: 'send' | 'wait' | 'takeIn'
  readonly round: number
}

/**
 * Scratch memory that each thread needs for the phases that send and take in ciphertexts.
 *
 * @param sent levels of the ciphertexts that are sent
 * @param refreshed levels of the values that are refreshed
 */
export const egressScratch = (
  context: SimdContext,
  sent: readonly number[],
  refreshed: readonly number[],
): number =>
  Math.max(
    ...sent.map((level) => maskedScratch(context, level)),
    ...refreshed.map((level) => ingressScratch(context, level + 1)),
  )

/**
 * Emits the phase that masks a round's values before they are sent. The masks are drawn in that phase, and
 * stay until `emitIngress`.
 *
 * @param from at one level
 * @param out places of the refreshed values; nothing else may use their memory from here on
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
  const ingresses = out.map(
    (value, i): Ingress => ({
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
      return { value, key, mask: { address: ingresses[i].mask }, out: [c0, c1] }
    }),
  )
  return { level: from[0].primes - 1, out, ingresses }
}

/** Emits the phase that takes a round's fresh encryptions in. */
export const emitIngress = (
  builder: ProgramBuilder,
  context: SimdContext,
  { ingresses }: RefreshRound,
): void => emitIngresses(builder, context, ingresses)

/** Overwrites a round's masks with zeros. */
export function wipeMasks({ heap, ring }: SimdContext, { ingresses }: RefreshRound): void {
  for (const { mask, maskPrimes } of ingresses) heap.words(mask, ring * maskPrimes).fill(0)
}

/** Frees the masks and seeds of a round; its values stay. */
export function freeRound(builder: ProgramBuilder, { ingresses: [{ mask, seed }] }: RefreshRound): void {
  builder.free(mask)
  builder.free(seed)
}

/**
 * Emits the phase that masks the result before it is sent. The packed result has memory of its own for the
 * whole program.
 */
export function emitOutput(
  builder: ProgramBuilder,
  context: SimdContext,
  { keys, logits, floodingBound }: EgressOptions,
  value: Value,
  flooding: number,
): Output {
  const level = value.primes - 1
  const [c0, c1] = [0, 1].map(() => builder.allocatePolynomial(context.limbBytes * value.primes))
  const packed = [c0, c1] as const
  emitMasked(builder, context, [{ value, key: keys.at(level), mask: { logits, flooding }, out: packed }])
  return { level, flooding, logits, floodingBound, packed }
}

/**
 * Memory for the noise of an answer. Allocate it before anything else, so that it is reserved for the whole
 * program.
 * @param level of the result
 */
export const allocateFlooding = (builder: ProgramBuilder, { logits }: EgressOptions, level: number): number =>
  builder.allocate(aligned(4 * logits.count * (level + 1)))

/**
 * Writes the noise of an answer to kernel memory.
 * @param integers one for each coefficient that carries logits
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

/** Overwrites the noise with zeros. */
export const wipeFlooding = ({ heap }: SimdContext, { flooding, level, logits }: Output): unknown =>
  heap.words(flooding, logits.count * (level + 1)).fill(0)

/** Copies of packed ciphertexts. @param packed addresses of both polynomials */
export function readEgress(context: SimdContext, [c0, c1]: readonly number[], level: number): PackedFullRlwe {
  return { limbs: readPacked(context, c0, level + 1), second: readPacked(context, c1, level + 1) }
}

/**
 * Copies the client's fresh encryptions to where the program reads them.
 *
 * @throws TENSOR_MALFORMED when there are more or fewer ciphertexts than were sent, or they are of another
 *   level
 */
export function stageIngress(
  context: SimdContext,
  { ingresses }: RefreshRound,
  pairs: readonly PackedRlwe[],
): void {
  const fits =
    pairs.length === ingresses.length &&
    pairs.every(({ limbs }, i) => limbs.length === ingresses[i].out.primes)
  if (!fits) {
    throw new PolyVeilError(
      'TENSOR_MALFORMED',
      `A round brings ${pairs.length} ciphertexts, not ${ingresses.length} at the highest level`,
    )
  }
  pairs.forEach(({ limbs, seed }, i) => {
    const { out, seed: seedAt } = ingresses[i]
    context.heap.bytes(seedAt, SEED_BYTES).set(seed)
    writePacked(context, out.polynomials[1], limbs)
  })
}

/**
 * Reads the notes that `emitIngress` left: whether residues are below their primes, and how many words of a
 * seed's stream were rejected. Expands a seed anew where words were rejected.
 *
 * @throws TENSOR_MALFORMED when a residue is not below its prime
 */
export function completeIngress(
  context: SimdContext,
  seeds: SeedExpander,
  { ingresses }: RefreshRound,
  pairs: readonly PackedRlwe[],
): void {
  const { heap, limbBytes, ring } = context
  ingresses.forEach(({ out, notes: address }, i) => {
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
