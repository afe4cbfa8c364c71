import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import type { Call, ProgramBuilder } from '../program/program.ts'
import { montgomery } from '../tables/modulus.ts'
import { emitBlockSum } from './convert.ts'

/** A polynomial's coefficients as integers, in kernel memory. */
export interface Integers {
  /** Address of N words, each below 2^30. */
  readonly address: number
  /** Subtracted from each word to get the coefficient. */
  readonly offset: bigint
}

/** Summand of a sum: integers times `factor`. */
export interface Summand {
  readonly integers: Integers
  readonly factor: bigint
}

/** Writes residues of sums of integers, in exact integer arithmetic. */
export class IntegerSums {
  readonly #builder: ProgramBuilder
  readonly #context: SimdContext
  /** Addresses of weights in Montgomery form, by modulus and weight. */
  readonly #weights = new Map<string, number>()

  /** @param builder of the program that gets the calls */
  constructor(builder: ProgramBuilder, context: SimdContext) {
    this.#builder = builder
    this.#context = context
  }

  /**
   * Emits the sum modulo one prime, as coefficients.
   *
   * @param index of the modulus
   * @param out address of N words
   */
  emit(call: Call, index: number, summands: readonly Summand[], out: number): void {
    const { moduli, ring } = this.#context
    const { prime } = moduli[index]
    const terms: number[] = []
    let bias = 0n
    for (const { integers, factor } of summands) {
      terms.push(integers.address, this.#weight(index, factor), log2Exact(ring))
      bias -= integers.offset * factor
    }
    const reduced = Number(((bias % prime) + prime) % prime)
    emitBlockSum(call, this.#builder, this.#context, { index, terms, bias: reduced, out })
  }

  #weight(index: number, value: bigint): number {
    const word = montgomery(value, this.#context.moduli[index].prime)
    const key = `${index} ${word}`
    let address = this.#weights.get(key)
    if (address === undefined) {
      address = this.#builder.table([word])
      this.#weights.set(key, address)
    }
    return address
  }
}
