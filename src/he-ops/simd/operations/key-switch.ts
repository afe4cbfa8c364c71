import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import type { KeyWindow } from '../keys/key-window.ts'
import type { SwitchingKey } from '../keys/switching-key.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { limbs, type Value } from '../values/values.ts'
import { type Decomposition, type DigitForm, emitDecompositions } from './decompose.ts'
import type { TermTable } from './terms.ts'

/** A rotation or a conjugation; its result stays extended. */
export interface Rotation {
  /** Normal, two polynomials. */
  readonly source: Value
  readonly element: number
  readonly key: SwitchingKey
  /** Extended, two polynomials, at the source's level. */
  readonly out: Value
}

/**
 * Rotates and conjugates values. Each distinct source is decomposed once (hoisting). Galois keys are kept
 * permuted by the inverse of their automorphism, so that digits are multiplied as they are and only the sum
 * is permuted.
 *
 * Sources: Halevi and Shoup, "Faster Homomorphic Linear Transformations in HElib", ePrint 2018/244, section
 * 4.2, for hoisting; Bossuat et al., ePrint 2020/1203, section 4, for permuting the sum and for staying in
 * the extended basis.
 *
 * Takes three phases, and two more for each key that is in far memory; and memory for the digits of all
 * sources at once.
 *
 * @param work at least one rotation; all sources have one level, and are unchanged
 * @param window through which keys in far memory are read
 */
export function emitRotations(
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly Rotation[],
  window: KeyWindow,
): void {
  const sources = [...new Set(work.map(({ source }) => source))]
  const { primes } = sources[0]
  const decompositions = emitDecompositions(
    builder,
    context,
    sources.map(({ polynomials }) => polynomials[1]),
    primes,
  )
  const digitsOf = new Map(sources.map((source, i) => [source, decompositions[i]]))
  // The held key first: it may be in far memory, too.
  const byPlace = Map.groupBy(work, ({ key }) => window.holds(key, primes))
  const atHand = byPlace.get(true) ?? []
  const loaded = atHand.map((rotation) => ({ ...rotation, key: window.near(rotation.key, primes) }))
  builder.phase(rotationItems(builder, context, inKeyOrder(loaded), digitsOf))
  for (const [far, some] of Map.groupBy(byPlace.get(false) ?? [], ({ key }) => key)) {
    const key = window.near(far, primes)
    builder.phase(
      rotationItems(
        builder,
        context,
        some.map((rotation) => ({ ...rotation, key })),
        digitsOf,
      ),
    )
  }
  for (const decomposition of decompositions) decomposition.free()
}

/** Puts rotations by the same key next to each other: keys are larger than the caches. */
const inKeyOrder = (work: readonly Rotation[]): Rotation[] =>
  [...Map.groupBy(work, ({ element }) => element).values()].flat()

/** Items limb by limb, so that the digits of one limb serve all rotations while they are in the cache. */
function rotationItems(
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly Rotation[],
  digitsOf: ReadonlyMap<Value, Decomposition>,
): Item[] {
  if (work.length === 0) return []
  return limbs(context, work[0].out).flatMap(({ place, index }) =>
    [0, 1].flatMap((p) =>
      work.map(({ source, element, key, out }): Item => {
        const { galois, limbBytes, moduli, ring } = context
        const { q, inverse, chunk } = moduli[index]
        const targets = galois.targets(element)
        const digits = digitsOf.get(source)!
        const timesP = p === 0 && place < source.primes ? [source.polynomials[0]] : []
        const to = out.polynomials[p] + place * limbBytes
        return (call) => {
          const terms = switchTerms(builder, context, { digits, key, p, place, index, timesP })
          call('dotPermuted', {
            out: to,
            blockTerms: terms.blockTerms,
            blockCount: terms.blockCount,
            vectorTerms: terms.vectorTerms,
            vectorCount: terms.vectorCount,
            size: ring,
            q,
            inverse,
            chunk,
            table: targets,
            patterns: galois.patterns,
          })
        }
      }),
    ),
  )
}

/** The relinearisation of a product of three polynomials; its result stays extended. */
export interface Relinearisation {
  /** Normal, three polynomials. */
  readonly source: Value
  /** In kernel memory. */
  readonly key: SwitchingKey
  /** Extended, two polynomials, at the source's level. */
  readonly out: Value
}

/**
 * Relinearises products: each third polynomial is decomposed and switched to the secret key. Levels and
 * scales stay.
 *
 * @param work at least one product; all have one level, and are unchanged
 * @param form of the digits
 */
export const emitRelinearisations = (
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly Relinearisation[],
  form?: DigitForm,
): void =>
  emitKeySwitches(
    builder,
    context,
    work.map(({ source: { polynomials }, key, out }) => ({
      polynomial: polynomials[2],
      added: polynomials.slice(0, 2),
      key,
      out,
    })),
    form,
  )

/** The switch of one polynomial to another secret; its result stays extended. */
export interface KeySwitch {
  /** Address of the polynomial. */
  readonly polynomial: number
  /** Addresses of polynomials that are added to the first of the result, or to both. */
  readonly added: readonly number[]
  /** In kernel memory. */
  readonly key: SwitchingKey
  /** Extended, two polynomials, with the data primes of the polynomial. */
  readonly out: Value
}

/**
 * Switches polynomials to the secret that their key encrypts under, and adds others.
 *
 * @param work at least one switch; all have one level, and are unchanged
 * @param form of the digits
 */
export function emitKeySwitches(
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly KeySwitch[],
  form?: DigitForm,
): void {
  const decompositions = emitDecompositions(
    builder,
    context,
    work.map(({ polynomial }) => polynomial),
    work[0].out.primes,
    form,
  )
  builder.phase(
    work.flatMap(({ added, key, out }, i) =>
      out.polynomials.flatMap((target, p) =>
        limbs(context, out).map(
          ({ place, index }): Item =>
            (call) => {
              const { limbBytes, moduli, ring } = context
              const { q, inverse, chunk } = moduli[index]
              const digits = decompositions[i]
              const timesP = place < out.primes ? added.slice(p, p + 1) : []
              const terms = switchTerms(builder, context, { digits, key, p, place, index, timesP })
              call('dot', {
                out: target + place * limbBytes,
                blockTerms: terms.blockTerms,
                blockCount: terms.blockCount,
                vectorTerms: terms.vectorTerms,
                vectorCount: terms.vectorCount,
                from: 0,
                length: ring,
                q,
                inverse,
                chunk,
                bias: 0,
              })
            },
        ),
      ),
    ),
  )
  for (const decomposition of decompositions) decomposition.free()
}

interface Switching {
  readonly digits: Decomposition
  readonly key: SwitchingKey
  /** The index of one of the key's two polynomials. */
  readonly p: number
  readonly place: number
  readonly index: number
  /** Polynomials to which key switching is added, times P. */
  readonly timesP: readonly number[]
}

/** Terms of one limb of sum over j of digit_j * key_j + P * value, as the `dot` kernels take them. */
function switchTerms(
  builder: ProgramBuilder,
  context: SimdContext,
  { digits, key, p, place, index, timesP }: Switching,
): TermTable {
  const { ring, limbBytes } = context
  const vectors: number[] = []
  for (let j = 0; j < digits.digits; j++) vectors.push(digits.address(j, place), key.address(j, p, index))
  const blocks = timesP.flatMap((polynomial) => [
    polynomial + place * limbBytes,
    weightOfP(context, index),
    log2Exact(ring),
  ])
  return {
    blockTerms: blocks.length > 0 ? builder.table(blocks) : 0,
    blockCount: timesP.length,
    vectorTerms: builder.table(vectors),
    vectorCount: digits.digits,
  }
}

/** Address of P modulo a data prime, in Montgomery form. */
export function weightOfP(context: SimdContext, index: number): number {
  return context.timesP + 4 * index
}
