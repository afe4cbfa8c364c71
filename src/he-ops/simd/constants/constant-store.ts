import { largestOf, periodOf, valuesOf } from '../../../circuit/constants/constant.ts'
import { encodedBits, modulusBits } from '../../../circuit/laws.ts'
import type { ConstantId, ConstantList } from '../../../circuit/types.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import {
  type ExpansionRule,
  encodedWords,
  LEAST_BLOCK,
  NO_EXPANSION,
} from '../../../schedule/constant-storage.ts'
import { embedPeriodicFast } from '../../encoding/embedding-fft.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import { Arena } from '../memory/arena.ts'
import { type Encoding, Encodings } from './encodings.ts'

/**
 * What an encoded constant is for: a weight of a normal summand, of an extended one (modulo the special
 * primes too), of a normal summand in an extended sum (times P), or an addend. Weights are in Montgomery
 * form, as the `dot` kernel takes them; addends are not.
 */
export type ConstantForm = 'normal' | 'extended' | 'timesP' | 'addend'

/** A plaintext in NTT form: one residue for each block of equal ones, prime after prime. */
export interface EncodedConstant {
  /** Address of the first residue modulo the first prime. */
  readonly address: number
  /** Residues for each prime; bytes are four times as many. */
  readonly count: number
  /** log2 of the residues that each stands for; 0 when there is one for every residue of a ciphertext. */
  readonly shift: number
  /** Whether every coefficient rounds to zero. */
  readonly isZero: boolean
}

/**
 * A constant that is kept as the integers that its coefficients are, or half of them: see
 * `circuit/expansion.ts`.
 */
export interface IntegerConstant {
  /** Address of half of `count` signed words, or of as many whole doubles. */
  readonly address: number
  /** As in `EncodedConstant`. */
  readonly count: number
  readonly shift: number
  readonly isZero: boolean
}

const FORMS: readonly ConstantForm[] = ['normal', 'extended', 'timesP', 'addend']
/** Forms by number, after those of coefficients. */
const formNumber = (form: ConstantForm, primes: number): number => 2 + FORMS.indexOf(form) + 4 * primes
const WORDS = 0
const DOUBLES = 1

/**
 * Encodes the constants of a circuit when they are first asked for, and keeps them on the heap until `free`.
 *
 * A vector of period p is a polynomial in X^(N / 2p), whose transform is that of size 2p with each entry
 * standing for N / 2p equal ones (`PeriodicEncoder` says why): no more than 2p residues for each prime are
 * made and kept.
 */
export class ConstantStore {
  readonly isExpanded: ExpansionRule
  readonly #context: SimdContext
  readonly #encodings: Encodings
  readonly #arena: Arena
  /** log2 of the modulus of each level. */
  readonly #bits: readonly number[]
  #constants: ConstantList

  /**
   * @param isExpanded says which weights are to be asked for by `integers`, and which addends by `doubles`
   */
  constructor(context: SimdContext, constants: ConstantList, isExpanded: ExpansionRule = NO_EXPANSION) {
    this.#context = context
    this.#constants = constants
    this.isExpanded = isExpanded
    this.#arena = new Arena(context.heap)
    this.#bits = modulusBits(context.parameters)
    this.#encodings = new Encodings(constants.length)
  }

  /** Bytes of all that has been encoded. */
  bytes = 0

  /**
   * Calls a function that asks for constants, and forgets them afterwards, but not what they were encoded to:
   * they take memory too. From then on nothing is to be asked for but here.
   *
   * @param constants the same ones each time
   */
  reading<T>(constants: ConstantList, body: () => T): T {
    this.#constants = constants
    try {
      return body()
    } finally {
      this.#constants = []
    }
  }

  /**
   * The plaintext of a constant; the same one when it is asked for again.
   *
   * @param scale coefficients are multiplied by it and rounded to the nearest integer, halves to the even one
   * @param primes number of data primes, level + 1
   * @throws LEVEL_EXHAUSTED when the constant does not fit the level's modulus; TOO_LARGE
   */
  encoded(id: ConstantId, scale: number, primes: number, form: ConstantForm): EncodedConstant {
    const number = formNumber(form, primes)
    return this.#once(id, scale, number, primes, () => this.#encode(id, scale, primes, form))
  }

  /** Words of a constant modulo each prime, or as integers. */
  words(id: ConstantId): number {
    return encodedWords(periodOf(this.#constants.at(id)!), this.#context.ring)
  }

  /**
   * The coefficients of a weight that `isExpanded`; the same ones when they are asked for again. @throws as
   * `encoded`
   */
  integers(id: ConstantId, scale: number, primes: number): IntegerConstant {
    return this.#once(id, scale, WORDS, primes, () => this.#round(id, scale, Int32Array))
  }

  /** The coefficients of an addend that `isExpanded`, as `integers`. @throws as `encoded` */
  doubles(id: ConstantId, scale: number, primes: number): IntegerConstant {
    return this.#once(id, scale, DOUBLES, primes, () => this.#round(id, scale, Float64Array))
  }

  /** What was encoded before, or is now. */
  #once(
    id: ConstantId,
    scale: number,
    form: number,
    primes: number,
    encode: () => Encoding,
  ): EncodedConstant {
    let encoding = this.#encodings.find(id, scale, form)
    if (encoding === undefined) {
      this.#requireFits(id, scale, primes - 1)
      encoding = encode()
      this.#encodings.add(id, scale, form, encoding)
    }
    const { address, isZero } = encoding
    const { count, shift } = this.#shape(2 * periodOf(this.#constants.at(id)!))
    return { address, count, shift, isZero }
  }

  /**
   * The first half of the coefficients: the middle one is zero, and those behind it are the negatives of
   * these.
   */
  #round(id: ConstantId, scale: number, type: typeof Int32Array | typeof Float64Array): Encoding {
    const { heap } = this.#context
    const coefficients = this.#embedding(id)
    const { count } = this.#shape(coefficients.length)
    const bytes = (count / 2) * type.BYTES_PER_ELEMENT
    const address = this.#arena.allocate(bytes)
    const numbers = new type(heap.memory.buffer, address, count / 2)
    const step = count / coefficients.length
    if (step > 1) numbers.fill(0)
    let isZero = true
    for (let i = 0; i < coefficients.length / 2; i++) {
      const integer = roundToEven(coefficients[i] * scale)
      numbers[i * step] = integer
      isZero &&= integer === 0
    }
    this.bytes += bytes
    return { address, isZero }
  }

  /** Residues for each prime of a polynomial in X^(N / size), and log2 of how many each stands for. */
  #shape(size: number): { readonly count: number; readonly shift: number } {
    const { ring, kernels } = this.#context
    // Blocks that are shorter than what `dot` works on at a time are written out.
    const isWhole = ring / size < Math.max(kernels.DOT_GRANULE.value, LEAST_BLOCK)
    return isWhole ? { count: ring, shift: 0 } : { count: size, shift: log2Exact(ring / size) }
  }

  /** Gives all encoded constants back; programs that read them must not be run any more. */
  free(): void {
    this.#arena.free()
    this.#encodings.clear()
    this.bytes = 0
  }

  #encode(id: ConstantId, scale: number, primes: number, form: ConstantForm): Encoding {
    const { heap, parameters, ring } = this.#context
    const coefficients = this.#embedding(id)
    const size = coefficients.length
    const { count } = this.#shape(size)
    const limbs = primes + (form === 'extended' ? parameters.specialPrimes.length : 0)
    const bytes = 4 * count * limbs
    const address = this.#arena.allocate(bytes)
    const source = this.#arena.scratch(8 * ring)
    new Float64Array(heap.memory.buffer, source, size).set(coefficients)
    for (let place = 0; place < limbs; place++) {
      const at = address + 4 * count * place
      // The special primes follow all primes of the data.
      const index = place < primes ? place : place - primes + parameters.primes.length
      this.#encodeLimb(source, at, size, scale, index, form)
      if (count !== size) spread(heap.words(at, count), size)
    }
    this.bytes += bytes
    return { address, isZero: roundsToZero(coefficients, scale) }
  }

  #encodeLimb(
    source: number,
    at: number,
    size: number,
    scale: number,
    index: number,
    form: ConstantForm,
  ): void {
    const { call, moduli } = this.#context
    const { q, forward, quotients, montgomery } = moduli[index]
    call('reduceDoubles', { out: at, values: source, scale, size, q })
    // Tables of smaller transforms are the beginnings of larger ones.
    call('nttForward', { values: at, table: forward, quotients, size, q })
    if (form === 'addend') return
    const factor = form === 'timesP' ? this.#context.timesPFactors[index] : montgomery
    if (size < 4) scalePlain(this.#context.heap.words(at, size), factor.w, q)
    else call('scale', { out: at, a: at, bias: 0, ...factor, size, q })
  }

  #embedding(id: ConstantId): Float64Array {
    return embedPeriodicFast(valuesOf(this.#constants.at(id)!))
  }

  #requireFits(id: ConstantId, scale: number, level: number): void {
    const needBits = encodedBits(largestOf(this.#constants.at(id)!), scale)
    if (needBits < this.#bits[level]) return
    throw new PolyVeilError('LEVEL_EXHAUSTED', `Constant ${id} does not fit level ${level} at its scale`, {
      constant: id,
      level,
    })
  }
}

/** As the kernels round: halves to the even neighbour. */
function roundsToZero(coefficients: Float64Array, scale: number): boolean {
  for (let i = 0; i < coefficients.length; i++) if (Math.abs(coefficients[i] * scale) > 0.5) return false
  return true
}

/** Doubles of this size have no bits below one. */
const NO_FRACTION = 1.5 * 2 ** 52
/** As the kernels round: halves to the even neighbour. @param value below 2^51 in absolute value */
const roundToEven = (value: number): number => value + NO_FRACTION - NO_FRACTION

/** Writes out blocks of equal residues in place, the last one first. */
function spread(residues: Uint32Array, size: number): void {
  const block = residues.length / size
  for (let i = size - 1; i >= 0; i--) residues.fill(residues[i], i * block, (i + 1) * block)
}

function scalePlain(residues: Uint32Array, factor: number, q: number): void {
  for (let i = 0; i < residues.length; i++) {
    residues[i] = Number((BigInt(residues[i]) * BigInt(factor)) % BigInt(q))
  }
}
