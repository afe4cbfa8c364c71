import { largestOf, periodOf } from './constant.ts'
import type { Circuit, ConstantId } from './types.ts'

// Weights of full size are many in deep circuits, and modulo all primes each is as large as half a ciphertext. The simd
// engine keeps them as integers, one for each coefficient, and writes their residues when a sum reads them. Which, and how
// many at once, is settled here, and not in the engine, since it decides how much memory a circuit takes.

/** Shortest block of equal residues that is kept as one. */
export const LEAST_BLOCK = 16

/** Coefficients that integers hold: the residues' arithmetic takes sums with a multiple of the prime below 2^32. */
export const INTEGER_BOUND = 2 ** 30

/** Memory that the residues of weights which are expanded at once may take. */
const EXPANSION_BYTES = 64 * 2 ** 20

/** The most that weights of full size take as residues; circuits with more keep them as integers. */
const RESIDENT_BYTES = 512 * 2 ** 20
const RESIDUE_BYTES = 4

/** Whether a weight, encoded at a scale, is kept as integers and expanded when it is read. */
export type ExpansionRule = (id: ConstantId, scale: number) => boolean

/** Nothing is: all weights are kept as residues. */
export const NO_EXPANSION: ExpansionRule = () => false

/** How a circuit's weights are kept: where those of full size are few, as residues, which is faster. */
export function expansionRule({
  ops,
  constants,
  parameters,
}: Pick<Circuit, 'ops' | 'constants' | 'parameters'>): ExpansionRule {
  const { ring, specialPrimes } = parameters
  const isFull = constants.map((constant) => ring / (2 * periodOf(constant)) < LEAST_BLOCK)
  const residents = new Map<string, number>()
  for (const op of ops) {
    if (op.kind !== 'dot') continue
    for (const { constant } of op.terms) {
      if (!isFull[constant]) continue
      residents.set(
        `${constant}/${op.constantScale}/${op.level}`,
        ring * RESIDUE_BYTES * (op.level + 1 + specialPrimes.length),
      )
    }
  }
  const bytes = [...residents.values()].reduce((sum, each) => sum + each, 0)
  if (bytes <= RESIDENT_BYTES) return NO_EXPANSION
  const largest = constants.map((constant, id) => (isFull[id] ? largestOf(constant) : Infinity))
  // No coefficient exceeds the largest slot.
  return (id, scale) => largest[id] * scale < INTEGER_BOUND
}

/** Divides sums into parts, one after the other, the weights of each part being expanded together. */
export function expansionParts<S>(sums: readonly S[], bytesOf: (sum: S) => number): S[][] {
  const parts: S[][] = []
  let room = 0
  for (const sum of sums) {
    const bytes = bytesOf(sum)
    if (parts.length === 0 || bytes > room) {
      parts.push([])
      room = EXPANSION_BYTES
    }
    parts.at(-1)!.push(sum)
    room -= bytes
  }
  return parts
}
