import { operandsOf } from '../circuit/operands.ts'
import type { Op, ValueId } from '../circuit/types.ts'
import { type CostedCircuit, type CostModel, transformGrowth } from './cost-model.ts'
import { type ExtendedBasis, extendedBasis, rescaleSource } from './extended-basis.ts'

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
 * Measured on one machine, for plans that must not depend on where they are made (see docs/performance.md).
 */
export const SIMD_SPEEDS: SimdSpeeds = Object.freeze({
  ntt: 36e-6,
  multiplyAdd: 0.27e-9,
  gather: 0.2e-9,
  elementwise: 0.1e-9,
})

/**
 * The cost model of the SIMD engine, which hoists: a value is decomposed once for all its rotations, at the
 * first of them here; and what key switching makes is divided by the special primes once, where it leaves the
 * sums it flows into.
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
  readonly #basis: ExtendedBasis
  readonly #decomposed = new Set<ValueId>()

  constructor(circuit: CostedCircuit, speeds: SimdSpeeds) {
    this.#circuit = circuit
    this.#speeds = speeds
    this.#basis = circuit.basis ?? extendedBasis(circuit)
  }

  seconds(): Float64Array {
    return Float64Array.from(this.#circuit.ops, (op, id) => {
      const n = this.#primesRead(op)
      const isDivided = this.#basis.inQP[id] === 1 && this.#basis.staysInQP[id] === 0
      return this.#own(op, id, n) + (isDivided ? this.#divide(this.#circuit.specialPrimes, n) : 0)
    })
  }

  /** Data primes of the operands. */
  #primesRead(op: Op): number {
    const { ops, unusedLevels = 0 } = this.#circuit
    const [operand] = operandsOf(op)
    return (operand === undefined ? op : ops[operand]).level - unusedLevels + 1
  }

  /** Primes of a value, the special ones included while it stays in the extended basis. */
  #width(id: ValueId, n: number): number {
    return n + this.#basis.staysInQP[id] * this.#circuit.specialPrimes
  }

  /** Without the division by the special primes. */
  #own(op: Op, id: ValueId, n: number): number {
    const { elementwise, gather, multiplyAdd } = this.#speeds
    switch (op.kind) {
      case 'rotate':
        return (
          this.#decomposeOnce(op.source, n) +
          this.#keyProduct(n) +
          this.#residues(2 * this.#width(id, n), gather)
        )
      case 'relinearise':
        return this.#decompose(n) + this.#keyProduct(n)
      case 'dot':
        return op.terms.reduce(
          (sum, { value }) => sum + this.#residues(2 * this.#width(value, n), multiplyAdd),
          0,
        )
      case 'add':
      case 'subtract':
        return this.#residues(2 * Math.max(this.#width(op.left, n), this.#width(op.right, n)), elementwise)
      case 'addPlain':
        return this.#residues(n, elementwise)
      case 'multiply':
        return this.#residues(2 * 3 * n, multiplyAdd)
      case 'rescale':
        return this.#rescale(op, id)
      default:
        return 0
    }
  }

  #decomposeOnce(source: ValueId, n: number): number {
    if (this.#decomposed.has(source)) return 0
    this.#decomposed.add(source)
    return this.#decompose(n)
  }

  #decompose(n: number): number {
    const { extended, digits } = this.#decomposition(n)
    return (
      this.#transforms(digits * extended) +
      this.#residues(digits * extended * this.#circuit.specialPrimes, this.#speeds.multiplyAdd)
    )
  }

  #keyProduct(n: number): number {
    const { extended, digits } = this.#decomposition(n)
    return this.#residues(2 * digits * extended, this.#speeds.multiplyAdd)
  }

  /** Division by `dropped` primes, special ones or of the data; `n` data primes are left. */
  #divide(dropped: number, n: number): number {
    return this.#transforms(2 * (dropped + n)) + this.#residues(2 * n * dropped, this.#speeds.multiplyAdd)
  }

  /** Divides past skipped rescales, and by the special primes where what it divides was left extended. */
  #rescale(op: Op, id: ValueId): number {
    const { ops, unusedLevels = 0, specialPrimes } = this.#circuit
    const { staysInQP, fusedRescale } = this.#basis
    if (fusedRescale[id] === 1) return 0
    const source = rescaleSource(ops, fusedRescale, id)
    const dropped = ops[source].level - op.level + staysInQP[source] * specialPrimes
    return this.#divide(dropped, op.level - unusedLevels + 1)
  }

  #decomposition(n: number): { readonly extended: number; readonly digits: number } {
    const k = this.#circuit.specialPrimes
    return { extended: n + k, digits: Math.ceil(n / k) }
  }

  #transforms(count: number): number {
    return count * this.#speeds.ntt * transformGrowth(this.#circuit.ring)
  }

  /** @param polynomials of one prime each */
  #residues(polynomials: number, secondsEach: number): number {
    return polynomials * this.#circuit.ring * secondsEach
  }
}
