import { numbersOf, periodOf } from '../circuit/constants/constant.ts'
import { largestOfEach } from '../circuit/constants/constant-table.ts'
import type { Circuit, ConstantId } from '../circuit/types.ts'

// Deep circuits have more weights than memory has room for modulo all primes: one of full size is as large as
// half a ciphertext. The simd engine keeps many of them as integers, and writes their residues when a sum
// reads them: one for each coefficient of the first half, from which the second half follows. Which, and how
// many at once, is settled here, and not in the engine, since it decides how much memory a circuit takes.

/** Shortest block of equal residues that is kept as one. */
export const LEAST_BLOCK = 16

/**
 * Coefficients that integers hold: the residues' arithmetic takes sums with a multiple of the prime below
 * 2^32.
 */
export const INTEGER_BOUND = 2 ** 30

/**
 * Coefficients that doubles hold: they are rounded by adding a number of which a double has no bits below
 * one.
 */
export const DOUBLE_BOUND = 2 ** 51

/**
 * What a constant is for. Weights that are not residues are integers of a word, addends, whose scales are
 * those of values, whole doubles.
 */
export type ConstantUse = 'weight' | 'addend'

/** Memory that the residues of weights which are expanded at once may take. */
const EXPANSION_BYTES = 64 * 2 ** 20

/** The most that weights take as residues. */
const RESIDENT_BYTES = 768 * 2 ** 20
/**
 * The most that all weights are to take; beyond it residues, for which there might be room, make room for
 * others.
 */
const WEIGHT_BYTES = 1152 * 2 ** 20
const RESIDUE_BYTES = 4
/** Shorter transforms are no kernel's. */
const LEAST_PERIOD = 4

/** Words of an encoded constant modulo one prime, or as integers. */
export function encodedWords(period: number, ring: number): number {
  // A vector of period p is a polynomial of 2 p coefficients.
  const size = 2 * period
  // Blocks of equal residues that are too short are written out.
  return ring / size < LEAST_BLOCK ? ring : size
}

/** Whether a constant, encoded at a scale, is kept as its coefficients and expanded when it is read. */
export type ExpansionRule = (id: ConstantId, scale: number, use: ConstantUse) => boolean

/** Nothing is: all constants are kept as residues. */
export const NO_EXPANSION: ExpansionRule = () => false

/**
 * How a circuit's constants are kept: as residues, which is faster, as long as weights are few; of many,
 * those of the longest periods as coefficients, until what is left is little enough. Addends of such periods
 * are, too.
 */
export function expansionRule(circuit: Pick<Circuit, 'ops' | 'constants' | 'parameters'>): ExpansionRule {
  const least = leastExpanded(weightBytes(circuit))
  if (least === Infinity) return NO_EXPANSION
  const periods = numbersOf(circuit.constants, periodOf)
  const largest = largestOfEach(circuit.constants)
  // No coefficient exceeds the largest slot.
  return (id, scale, use) =>
    periods[id] >= least && largest[id] * scale < (use === 'weight' ? INTEGER_BOUND : DOUBLE_BOUND)
}

/** Bytes of all weights of a period. */
interface WeightBytes {
  /** Were they kept as residues. */
  readonly residues: number
  /** Were they kept as integers. */
  readonly integers: number
}

function weightBytes({
  ops,
  constants,
  parameters,
}: Pick<Circuit, 'ops' | 'constants' | 'parameters'>): Map<number, WeightBytes> {
  const { ring, specialPrimes } = parameters
  const periods = numbersOf(constants, periodOf)
  const bytes = new Map<number, WeightBytes>()
  for (const op of ops) {
    if (op.kind !== 'dot') continue
    const limbs = op.level + 1 + specialPrimes.length
    for (const { constant } of op.terms) {
      const period = periods[constant]
      const own = encodedWords(period, ring) * RESIDUE_BYTES
      const { residues, integers } = bytes.get(period) ?? { residues: 0, integers: 0 }
      bytes.set(period, { residues: residues + own * limbs, integers: integers + own / 2 })
    }
  }
  return bytes
}

/** The least period of weights that are kept as integers. */
function leastExpanded(bytes: ReadonlyMap<number, WeightBytes>): number {
  let resident = [...bytes.values()].reduce((sum, { residues }) => sum + residues, 0)
  let all = resident
  let least = Infinity
  for (const period of [...bytes.keys()].sort((a, b) => b - a)) {
    const isLittle = resident <= RESIDENT_BYTES && all <= WEIGHT_BYTES
    if (isLittle || period < LEAST_PERIOD) break
    const { residues, integers } = bytes.get(period)!
    resident -= residues
    all -= residues - integers
    least = period
  }
  return least
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
