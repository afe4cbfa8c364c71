import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import type { Call, ProgramBuilder } from '../program/program.ts'
import { montgomery } from '../tables/modulus.ts'
import { CONVERSION_CHUNK } from './convert.ts'

/** One integer for each coefficient, in kernel memory. */
export interface Integers {
  /** Address of N words, none of them 2^30 or more. */
  readonly address: number
  /** What is to be taken off each word. */
  readonly offset: bigint
}

/** Integers that a sum takes, each multiplied by `factor`. */
export interface Summand {
  readonly integers: Integers
  readonly factor: bigint
}

/** Writes residues of sums of integers: exactly, and never through floating point. */
export class IntegerSums {
  readonly #builder: ProgramBuilder
  readonly #context: SimdContext
  /** Addresses of weights in Montgomery form, by modulus and weight. */
  readonly #weights = new Map<string, number>()

  /** @param builder of the program that the calls are for */
  constructor(builder: ProgramBuilder, context: SimdContext) {
    this.#builder = builder
    this.#context = context
  }

  /**
   * The sum modulo one prime: coefficients, not in NTT form.
   *
   * @param index of the modulus
   * @param out address of N words
   */
  emit(call: Call, index: number, summands: readonly Summand[], out: number): void {
    const { moduli, ring } = this.#context
    const { prime, q, inverse } = moduli[index]
    const terms: number[] = []
    let bias = 0n
    for (const { integers, factor } of summands) {
      terms.push(integers.address, this.#weight(index, factor), log2Exact(ring))
      bias -= integers.offset * factor
    }
    const table = this.#builder.table(terms)
    const reduced = Number(((bias % prime) + prime) % prime)
    call('dot', {
      out,
      blockTerms: table,
      blockCount: terms.length / 3,
      vectorTerms: 0,
      vectorCount: 0,
      from: 0,
      length: ring,
      q,
      inverse,
      chunk: CONVERSION_CHUNK,
      bias: reduced,
    })
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
