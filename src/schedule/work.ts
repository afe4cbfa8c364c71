import { operandsOf } from '../circuit/operands.ts'
import type { Circuit, ValueId } from '../circuit/types.ts'
import { type ExtendedBasis, extendedBasis, rescaleSource } from './extended-basis.ts'

/** Operations, and what their work depends on beside them. */
export interface WorkBody extends Pick<Circuit, 'ops' | 'result'> {
  /** Number of special primes. */
  readonly specialPrimes: number
  /** The extended basis of the operations, where the caller has it already. */
  readonly basis?: ExtendedBasis
  /** Levels below the result that the finished chain will not have. */
  readonly unusedLevels?: number
}

/** A division with rounding to the nearest: a rescale, the ModDown of key switching, or both at once. */
export interface DivisionWork {
  /** The value that is divided. It is the operation's own where the division is a ModDown. */
  readonly source: ValueId
  /** Primes to divide by, special ones included. */
  readonly dropped: number
  /** Data primes that are left. */
  readonly left: number
}

/** The digits of one decomposed polynomial. */
export interface DigitsWork {
  readonly digits: number
  /** Limbs of each digit: all data primes, and the special ones. */
  readonly limbs: number
}

/**
 * How a weight is multiplied in a sum: with a summand modulo Q, with a summand in the extended basis, or,
 * times P, with a summand modulo Q that is added to a sum in the extended basis.
 */
export type WeightForm = 'normal' | 'extended' | 'timesP'

/**
 * The work of each operation on the simd engine, in limbs: residue polynomials modulo one prime, of N words
 * each. The cost model adds it up, the memory model takes its peak over the steps, and the engine emits
 * kernels for it.
 */
export class Work {
  readonly basis: ExtendedBasis
  readonly #ops: WorkBody['ops']
  readonly #specialPrimes: number
  readonly #unusedLevels: number

  constructor({ ops, result, specialPrimes, basis, unusedLevels = 0 }: WorkBody) {
    this.#ops = ops
    this.#specialPrimes = specialPrimes
    this.#unusedLevels = unusedLevels
    this.basis = basis ?? extendedBasis({ ops, result })
  }

  /** Data primes of a value. */
  primes(id: ValueId): number {
    return this.#ops[id].level - this.#unusedLevels + 1
  }

  /**
   * Limbs of each polynomial of a value: one for each special prime too while the value stays in the extended
   * basis.
   */
  limbs(id: ValueId): number {
    return this.limbsAt(this.primes(id), id)
  }

  /** `limbs` of a value whose data primes the caller knows, such as a summand of a sum. */
  limbsAt(primes: number, id: ValueId): number {
    return primes + this.basis.staysInQP[id] * this.#specialPrimes
  }

  /** Limbs of each polynomial of an operation's result before its ModDown, if it has one. */
  computedLimbs(id: ValueId): number {
    return this.primes(id) + this.basis.inQP[id] * this.#specialPrimes
  }

  /** Whether an operation's result is divided by the special primes at once. */
  hasModDown(id: ValueId): boolean {
    return this.basis.inQP[id] === 1 && this.basis.staysInQP[id] === 0
  }

  /** The division that an operation ends with; undefined where it has none, and for a fused rescale. */
  division(id: ValueId): DivisionWork | undefined {
    const left = this.primes(id)
    if (this.hasModDown(id)) return { source: id, dropped: this.#specialPrimes, left }
    if (this.#ops[id].kind !== 'rescale' || this.basis.fusedRescale[id] === 1) return undefined
    const source = rescaleSource(this.#ops, this.basis.fusedRescale, id)
    return { source, dropped: this.limbs(source) - left, left }
  }

  /** The digits that a polynomial of so many data primes decomposes into. */
  decomposition(primes: number): DigitsWork {
    return { digits: Math.ceil(primes / this.#specialPrimes), limbs: primes + this.#specialPrimes }
  }

  /**
   * The form of a weight of a `dot`. @param id of the sum @param summand that the weight is multiplied with
   */
  weightForm(id: ValueId, summand: ValueId): WeightForm {
    if (this.basis.staysInQP[summand] === 1) return 'extended'
    return this.basis.inQP[id] === 1 ? 'timesP' : 'normal'
  }

  /**
   * The values whose memory an operation reads, each once. A rescale reads the value that it divides in the
   * end; a fused rescale reads nothing, since the rescale that reads it does its work.
   */
  operandsRead(id: ValueId): Iterable<ValueId> {
    const op = this.#ops[id]
    if (op.kind !== 'rescale') return new Set(operandsOf(op))
    return this.basis.fusedRescale[id] === 1 ? [] : [rescaleSource(this.#ops, this.basis.fusedRescale, id)]
  }

  /** For each value the number of operations that read it, the reader of the result included. */
  readerCounts(result: ValueId): Int32Array {
    const counts = Int32Array.from(this.basis.readers, (readers) => readers.length)
    counts[result]++
    return counts
  }
}
