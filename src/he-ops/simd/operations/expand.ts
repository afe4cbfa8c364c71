import { INTEGER_BOUND } from '../../../circuit/expansion.ts'
import type { ConstantId } from '../../../circuit/types.ts'
import type { ConstantForm, ConstantStore, EncodedConstant } from '../constants.ts'
import type { SimdContext } from '../context.ts'
import type { Item, ProgramBuilder } from '../program.ts'
import { limbsOf } from '../values.ts'
import type { Dot } from './dot.ts'

/**
 * Writes the residues of weights that are kept as integers, for the sums of the phase that follows: each integer times the
 * form's factor modulo each prime, then transformed. The memory is the program's until `free`.
 */
export class Expansion {
  readonly #builder: ProgramBuilder
  readonly #context: SimdContext
  readonly #constants: ConstantStore
  readonly #expanded = new Map<string, EncodedConstant>()
  readonly #items: Item[] = []

  constructor(builder: ProgramBuilder, context: SimdContext, constants: ConstantStore) {
    this.#builder = builder
    this.#context = context
    this.#constants = constants
  }

  /** The residues as they will be, as `ConstantStore.encoded` gives them; the same ones when they are asked for again. */
  encoded(id: ConstantId, scale: number, primes: number, form: ConstantForm): EncodedConstant {
    const key = `${id}/${scale}/${primes}/${form}`
    let constant = this.#expanded.get(key)
    if (constant === undefined) {
      constant = this.#expand(id, scale, primes, form)
      this.#expanded.set(key, constant)
    }
    return constant
  }

  /** One phase. */
  emit(): void {
    this.#builder.phase(this.#items)
  }

  free(): void {
    for (const { address } of this.#expanded.values()) this.#builder.free(address)
  }

  #expand(id: ConstantId, scale: number, primes: number, form: ConstantForm): EncodedConstant {
    const { limbBytes, ring } = this.#context
    const { address: integers, isZero } = this.#constants.integers(id, scale, primes)
    const indices = limbsOf(this.#context, primes, form === 'extended')
    const address = this.#builder.allocate(limbBytes * indices.length)
    indices.forEach((index, place) => {
      this.#items.push(expandItem(this.#context, integers, address + limbBytes * place, index, form))
    })
    return { address, count: ring, shift: 0, isZero }
  }
}

function expandItem(context: SimdContext, from: number, to: number, index: number, form: ConstantForm): Item {
  const modulus = context.moduli[index]
  const { q, forward, quotients } = modulus
  const { w, quotient } = form === 'lifted' ? context.lifted[index] : modulus.montgomery
  // A multiple of the prime that leaves no integer negative, and none beyond a word.
  const bias = q * Math.ceil(INTEGER_BOUND / q)
  return (call) => {
    call('scale', to, from, bias, w, quotient, context.ring, q)
    call('nttForward', to, forward, quotients, context.ring, q)
  }
}

/** The most that the weights of a sum take while they are expanded. */
export function expansionBytes(context: SimdContext, constants: ConstantStore, dot: Dot): number {
  const { terms, constantScale, out } = dot
  return terms.reduce((bytes, { value, constant }) => {
    if (!constants.isInteger(constant, constantScale)) return bytes
    return bytes + context.limbBytes * limbsOf(context, out.primes, value.extended).length
  }, 0)
}
