import { polynomialCounts } from '../circuit/polynomials.ts'
import type { Op, Term, ValueId } from '../circuit/types.ts'
import { type CostedCircuit, type CostModel, transformGrowth } from './cost-model.ts'
import { type DivisionWork, Work } from './work.ts'

/** Speeds of the kernels on 32-bit residues, in seconds on one core. */
export interface SimdSpeeds {
  /** One number-theoretic transform at N = 16384. */
  readonly ntt: number
  /** One residue multiplied and accumulated. */
  readonly multiplyAdd: number
  /** One residue moved by an automorphism. */
  readonly gather: number
  /** One residue added or subtracted. */
  readonly elementwise: number
}

/**
 * Speeds of a reference machine. Plans use them by default, so that they do not depend on the machine that
 * compiles.
 */
export const SIMD_SPEEDS: SimdSpeeds = Object.freeze({
  ntt: 36e-6,
  multiplyAdd: 0.27e-9,
  gather: 0.2e-9,
  elementwise: 0.1e-9,
})

/**
 * The cost model of the simd engine. The engine hoists: it decomposes a value once for all its rotations and
 * conjugations, which this model counts at the first of them. A sum in the extended basis is divided by the
 * special primes once, at its end.
 */
export const simdCosts =
  (speeds: SimdSpeeds = SIMD_SPEEDS): CostModel =>
  (circuit) =>
    new HoistedCosts(circuit, speeds).seconds()

/**
 * Counts transforms and residues. With n data primes, k special primes, E = n + k and D = ceil(n / k) digits:
 *
 *   decompose   n inverse transforms, and D * E - n forward after base extension, which takes D * E * k * N products
 *   key product 2 * D * E * N products with the key
 *   divide      by k primes: for both polynomials k inverse transforms, n forward, and n * k * N products
 */
class HoistedCosts {
  readonly #circuit: CostedCircuit
  readonly #speeds: SimdSpeeds
  readonly #work: Work
  readonly #polynomials: Uint8Array
  readonly #decomposed = new Set<ValueId>()

  constructor(circuit: CostedCircuit, speeds: SimdSpeeds) {
    this.#circuit = circuit
    this.#speeds = speeds
    this.#work = new Work(circuit)
    this.#polynomials = polynomialCounts(circuit.ops)
  }

  seconds(): Float64Array {
    return Float64Array.from(this.#circuit.ops, (op, id) => {
      const division = this.#work.division(id)
      return this.#own(op, id) + (division === undefined ? 0 : this.#divide(division))
    })
  }

  /** Seconds of an operation without the division at its end. */
  #own(op: Op, id: ValueId): number {
    const { elementwise, gather, multiplyAdd } = this.#speeds
    switch (op.kind) {
      case 'rotate':
      case 'conjugate':
        return (
          this.#decomposeOnce(op.source, id) +
          this.#keyProduct(id) +
          this.#residues(2 * this.#work.limbs(id), gather)
        )
      case 'relinearise':
        return this.#decompose(id) + this.#keyProduct(id)
      case 'raise':
        return this.#raise(op.source, id)
      case 'dot':
        return this.#dot(op.terms, this.#work.primes(id))
      case 'timesI':
        return this.#residues(2 * this.#work.limbs(op.source), elementwise)
      case 'add':
      case 'subtract':
        return this.#residues(
          this.#polynomials[id] * Math.max(this.#work.limbs(op.left), this.#work.limbs(op.right)),
          elementwise,
        )
      case 'addPlain':
        return this.#residues(this.#work.primes(id), elementwise)
      case 'multiply':
        return this.#residues(2 * 3 * this.#work.primes(id), multiplyAdd)
      case 'input':
      case 'rescale':
      case 'dropLevel':
      case 'refresh':
        return 0
    }
  }

  /**
   * The switch to the ephemeral secret, with digits of one prime and one special prime, the base extension of
   * both polynomials, and the switch back.
   */
  #raise(source: ValueId, id: ValueId): number {
    const before = this.#work.primes(source)
    const added = this.#work.primes(id) - before
    const { multiplyAdd } = this.#speeds
    const extended = { dropped: 1, left: before }
    return (
      this.#transforms(before * (before + 1)) +
      this.#residues(2 * before * (before + 1), multiplyAdd) +
      this.#divide(extended) +
      this.#transforms(2 * (before + added)) +
      this.#residues(2 * before * added, multiplyAdd) +
      this.#decompose(id) +
      this.#keyProduct(id)
    )
  }

  /** @param primes of the summands, which have one level */
  #dot(terms: readonly Term[], primes: number): number {
    let seconds = 0
    for (const { value } of terms) {
      seconds += this.#residues(2 * this.#work.limbsAt(primes, value), this.#speeds.multiplyAdd)
    }
    return seconds
  }

  #decomposeOnce(source: ValueId, id: ValueId): number {
    if (this.#decomposed.has(source)) return 0
    this.#decomposed.add(source)
    return this.#decompose(id)
  }

  /** @param id of the key switching, whose level is its operand's */
  #decompose(id: ValueId): number {
    const { limbs, digits } = this.#work.decomposition(this.#work.primes(id))
    return (
      this.#transforms(digits * limbs) +
      this.#residues(digits * limbs * this.#circuit.specialPrimes, this.#speeds.multiplyAdd)
    )
  }

  #keyProduct(id: ValueId): number {
    const { limbs, digits } = this.#work.decomposition(this.#work.primes(id))
    return this.#residues(2 * digits * limbs, this.#speeds.multiplyAdd)
  }

  #divide({ dropped, left }: Omit<DivisionWork, 'source'>): number {
    return (
      this.#transforms(2 * (dropped + left)) + this.#residues(2 * left * dropped, this.#speeds.multiplyAdd)
    )
  }

  #transforms(count: number): number {
    return count * this.#speeds.ntt * transformGrowth(this.#circuit.ring)
  }

  /** @param polynomials of one prime each */
  #residues(polynomials: number, secondsEach: number): number {
    return polynomials * this.#circuit.ring * secondsEach
  }
}
