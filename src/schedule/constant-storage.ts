import { isComplex, numbersOf, periodOf } from '../circuit/constants/constant.ts'
import { boundOfEach } from '../circuit/constants/constant-table.ts'
import type { Circuit, Constant, ConstantId } from '../circuit/types.ts'
import { EXPANSION_BYTES, RESIDUE_BYTES } from './limits.ts'

// Deep circuits have more weights than memory can hold modulo all primes: a weight of full size is as large
// as half a ciphertext. The simd engine keeps many weights as integers, and expands them to residues when a
// sum reads them. An integer stands for a coefficient. Of real weights the coefficients of the first half are
// kept; the second half follows from the first. The rule which weights are expanded is here and not in the
// engine, because plans state the memory that it leads to.

/** Shortest block of equal residues that is stored as one residue. */
export const LEAST_BLOCK = 16

/**
 * Bound of coefficients that are kept as integers: with a multiple of the prime added they stay below 2^32.
 */
export const INTEGER_BOUND = 2 ** 30

/** Bound of coefficients that are kept as doubles: adding 2^52 or more rounds them to integers. */
export const DOUBLE_BOUND = 2 ** 51

/**
 * The use of a constant. Expanded weights are kept as integers of one word. Expanded addends are kept as
 * doubles, because their scales are those of values.
 */
export type ConstantUse = 'weight' | 'addend'

/** Memory that weights may take as residues. */
const RESIDENT_BYTES = 768 * 2 ** 20
/** Memory that all weights should take. Above it, weights that would fit as residues become integers too. */
const WEIGHT_BYTES = 1152 * 2 ** 20
/** Shortest period that the kernels can transform. */
const LEAST_PERIOD = 4

/** Words of an encoded constant modulo one prime, or as integers. */
export function encodedWords(period: number, ring: number): number {
  // A vector of period p is a polynomial of 2 p coefficients.
  const size = 2 * period
  // Blocks of equal residues that are too short are written out.
  return ring / size < LEAST_BLOCK ? ring : size
}

/** Share of a constant's coefficients that are kept as integers: half of those of real constants. */
export const keptShare = (constant: Constant): number => (isComplex(constant) ? 1 : 0.5)

/** Whether a constant, encoded at a scale, is kept as its coefficients and expanded when it is read. */
export type ExpansionRule = (id: ConstantId, scale: number, use: ConstantUse) => boolean

/** Keeps all constants as residues. */
export const NO_EXPANSION: ExpansionRule = () => false

/**
 * Decides which constants of a circuit are expanded when they are read. Residues are faster, so few weights
 * are all kept as residues. Of many weights those of the longest periods are kept as integers, until the
 * others fit the limits. Addends of these periods are expanded too.
 */
export function expansionRule(circuit: Pick<Circuit, 'ops' | 'constants' | 'parameters'>): ExpansionRule {
  const least = leastExpanded(weightBytes(circuit))
  if (least === Infinity) return NO_EXPANSION
  const periods = numbersOf(circuit.constants, periodOf)
  const bounds = boundOfEach(circuit.constants)
  // No coefficient exceeds the largest slot.
  return (id, scale, use) =>
    periods[id] >= least && bounds[id] * scale < (use === 'weight' ? INTEGER_BOUND : DOUBLE_BOUND)
}

/** Bytes of all weights of a period, for both ways to keep them. */
interface WeightBytes {
  readonly residues: number
  readonly integers: number
}

function weightBytes({
  ops,
  constants,
  parameters,
}: Pick<Circuit, 'ops' | 'constants' | 'parameters'>): Map<number, WeightBytes> {
  const { ring, specialPrimes } = parameters
  const periods = numbersOf(constants, periodOf)
  const shares = numbersOf(constants, keptShare)
  const bytes = new Map<number, WeightBytes>()
  for (const op of ops) {
    if (op.kind !== 'dot') continue
    const limbs = op.level + 1 + specialPrimes.length
    for (const { constant } of op.terms) {
      const period = periods[constant]
      const own = encodedWords(period, ring) * RESIDUE_BYTES
      const { residues, integers } = bytes.get(period) ?? { residues: 0, integers: 0 }
      bytes.set(period, { residues: residues + own * limbs, integers: integers + own * shares[constant] })
    }
  }
  return bytes
}

/** The least period whose weights are kept as integers; infinite where all are kept as residues. */
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

/** Far weights are copied in whole units of this many bytes. */
const FAR_UNIT = 16

export const inFarUnits = (bytes: number): number => Math.ceil(bytes / FAR_UNIT) * FAR_UNIT

/** How a weight is kept, and how large it is. */
export interface KeptWeight {
  readonly isExpanded: boolean
  readonly isFar: boolean
  /** Words modulo one prime. */
  readonly words: number
  /** Share of its coefficients that are kept where it is expanded. */
  readonly share: number
  /** Number of primes that a sum reads it modulo. */
  readonly limbs: number
}

/** Bytes that a sum takes while it reads a weight, beside what is kept. */
export interface PassingBytes {
  /** For the copy of what is kept in far memory. */
  readonly copied: number
  /** For the residues of an expanded weight. */
  readonly expanded: number
}

export function passingBytes({ isExpanded, isFar, words, share, limbs }: KeptWeight): PassingBytes {
  const kept = words * RESIDUE_BYTES * (isExpanded ? share : limbs)
  return {
    copied: isFar ? inFarUnits(kept) : 0,
    expanded: isExpanded ? words * RESIDUE_BYTES * limbs : 0,
  }
}

/**
 * Divides a list of sums into consecutive parts. The weights of one part are copied and expanded together.
 */
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
