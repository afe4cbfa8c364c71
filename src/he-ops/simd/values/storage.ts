import type { Op, ValueId } from '../../../circuit/types.ts'
import type { SimdContext } from '../context.ts'
import type { ProgramBuilder } from '../program/program.ts'
import { polynomialBytes, type Value } from './values.ts'

/**
 * Memory of a program's values. Values may share polynomials; a polynomial is freed after the last reader of
 * its last value.
 */
export class Storage {
  readonly #builder: ProgramBuilder
  readonly #context: SimdContext
  readonly #values = new Map<ValueId, Value>()
  /** For each polynomial, the number of values that hold it. */
  readonly #holders = new Map<number, number>()

  constructor(builder: ProgramBuilder, context: SimdContext) {
    this.#builder = builder
    this.#context = context
  }

  /** The value of an operation; it must exist and not be released. */
  get(id: ValueId): Value {
    return this.#values.get(id)!
  }

  /** Creates a value with memory of its own, at the operation's level. */
  create(id: ValueId, op: Pick<Op, 'level'>, polynomials: number, extended = false): Value {
    return this.#keep(id, this.temporary(op.level + 1, polynomials, extended))
  }

  /** Creates a value that shares polynomials with others. */
  alias(id: ValueId, value: Value): Value {
    return this.#keep(id, value)
  }

  /** Allocates a polynomial, which must be passed to `alias`. */
  polynomial(primes: number): number {
    return this.#builder.allocatePolynomial(polynomialBytes(this.#context, primes, false))
  }

  /** Allocates memory that no value holds; `freeTemporary` frees it. */
  temporary(primes: number, polynomials: number, extended: boolean): Value {
    const bytes = polynomialBytes(this.#context, primes, extended)
    const addresses = Array.from({ length: polynomials }, () => this.#builder.allocatePolynomial(bytes))
    return { polynomials: addresses, primes, extended }
  }

  freeTemporary({ polynomials }: Value): void {
    for (const polynomial of polynomials) this.#builder.free(polynomial)
  }

  /** Forgets a value, and frees those of its polynomials that no other value holds. */
  release(id: ValueId): void {
    for (const polynomial of this.get(id).polynomials) {
      const holders = this.#holders.get(polynomial)! - 1
      if (holders > 0) {
        this.#holders.set(polynomial, holders)
      } else {
        this.#holders.delete(polynomial)
        this.#builder.free(polynomial)
      }
    }
    this.#values.delete(id)
  }

  #keep(id: ValueId, value: Value): Value {
    this.#values.set(id, value)
    for (const polynomial of value.polynomials) {
      this.#holders.set(polynomial, (this.#holders.get(polynomial) ?? 0) + 1)
    }
    return value
  }
}
