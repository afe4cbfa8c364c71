import { isComplex, largestOf, periodOf, valuesOf } from '../../../circuit/constants/constant.ts'
import { encodedBits, modulusBits } from '../../../circuit/laws.ts'
import type { ConstantId, ConstantList } from '../../../circuit/types.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import {
  type ExpansionRule,
  encodedWords,
  inFarUnits,
  keptShare,
  LEAST_BLOCK,
  NO_EXPANSION,
} from '../../../schedule/constant-storage.ts'
import { type FarStorage, NOTHING_FAR } from '../../../schedule/far-storage.ts'
import { embedPeriodicFast } from '../../encoding/embedding-fft.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import { Arena } from '../memory/arena.ts'
import { type Encoding, Encodings } from './encodings.ts'

/**
 * The use of an encoded constant: weight of a normal summand in a normal sum (`normal`), weight of an
 * extended summand, modulo the special primes too (`extended`), weight of a normal summand in an extended
 * sum, times P (`timesP`), or addend. Weights are in Montgomery form, as the `dot` kernel takes them; addends
 * are not.
 */
export type ConstantForm = 'normal' | 'extended' | 'timesP' | 'addend'

/**
 * A plaintext in NTT form. Each run of equal residues is kept as one residue; residues are in the order of
 * the primes.
 */
export interface EncodedConstant {
  /** Address of the first residue modulo the first prime; of far weights in far memory. */
  readonly address: number
  /** Residues for each prime; the constant takes four bytes for each. */
  readonly count: number
  /** log2 of the run length that each residue stands for; 0 when every residue is kept. */
  readonly shift: number
  /** Whether every coefficient rounds to zero. */
  readonly isZero: boolean
}

/**
 * A constant that is kept as the integers of its coefficients. Of real constants the first half suffices: see
 * `schedule/constant-storage.ts`.
 */
export interface IntegerConstant {
  /** Address of `kept` signed words, or of as many integral doubles; of far weights in far memory. */
  readonly address: number
  /** Number of integers: count / 2 for real constants, count for complex ones. */
  readonly kept: number
  /** As in `EncodedConstant`. */
  readonly count: number
  readonly shift: number
  readonly isZero: boolean
}

const FORMS: readonly ConstantForm[] = ['normal', 'extended', 'timesP', 'addend']
/** Numbers of forms; 0 and 1 are those of coefficients. */
const formNumber = (form: ConstantForm, primes: number): number => 2 + FORMS.indexOf(form) + 4 * primes
const WORDS = 0
const DOUBLES = 1

/**
 * Encodings in far memory are noted in units of so many bytes, because their addresses exceed words. They are
 * even, as the table of encodings needs.
 */
const FAR_UNIT = 8

/** Memory of rounded coefficients. */
type IntegerArray = typeof Int32Array | typeof Float64Array

/**
 * Encodes the constants of a circuit at their first use, and keeps them on the heap until `free`.
 *
 * A vector of period p is a polynomial in X^(N / 2p). Its transform is that of size 2p, each entry repeated N
 * / 2p times (see `PeriodicEncoder`), so that at most 2p residues for each prime are computed and kept.
 */
export class ConstantStore {
  readonly isExpanded: ExpansionRule
  /** Says which weights are kept in far memory: addresses of their encodings are there. */
  readonly isFarWeight: FarStorage['isFarWeight']
  readonly #context: SimdContext
  readonly #encodings: Encodings
  readonly #arena: Arena
  readonly #farArena: Arena
  /** log2 of the modulus of each level. */
  readonly #bits: readonly number[]
  #constants: ConstantList

  /** @param isExpanded says which weights callers must get by `integers`, and which addends by `doubles` */
  constructor(
    context: SimdContext,
    constants: ConstantList,
    isExpanded: ExpansionRule = NO_EXPANSION,
    { isFarWeight }: FarStorage = NOTHING_FAR,
  ) {
    this.#context = context
    this.#constants = constants
    this.isExpanded = isExpanded
    this.isFarWeight = isFarWeight
    this.#arena = new Arena(context.heap)
    this.#farArena = new Arena(context.heap.far)
    this.#bits = modulusBits(context.parameters)
    this.#encodings = new Encodings(constants.length)
  }

  /** Bytes of all encoded constants. */
  bytes = 0

  /**
   * Gives access to the constants while `body` runs, and forgets their values afterwards to free memory;
   * their encodings stay. Once it was used, constants may only be encoded within it.
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
   * The plaintext of a constant, encoded at the first request.
   *
   * @param scale coefficients are multiplied by it and rounded to the nearest integer, halves to even
   * @param primes number of data primes, level + 1
   * @throws LEVEL_EXHAUSTED when the constant does not fit the level's modulus; TOO_LARGE
   */
  encoded(id: ConstantId, scale: number, primes: number, form: ConstantForm): EncodedConstant {
    const number = formNumber(form, primes)
    const isFar = form !== 'addend' && this.isFarWeight(id)
    return this.#once(id, scale, number, primes, isFar, () => this.#encode(id, scale, primes, form, isFar))
  }

  /** Words that a constant takes modulo each prime, and the share of them that is kept as integers. */
  size(id: ConstantId): { readonly words: number; readonly share: number } {
    const constant = this.#constants.at(id)!
    return { words: encodedWords(periodOf(constant), this.#context.ring), share: keptShare(constant) }
  }

  /**
   * The coefficients of a weight that `isExpanded`, computed at the first request.
   * @throws as `encoded`
   */
  integers(id: ConstantId, scale: number, primes: number): IntegerConstant {
    return this.#rounded(id, scale, WORDS, primes, this.isFarWeight(id))
  }

  /**
   * The coefficients of an addend that `isExpanded`, computed at the first request.
   * @throws as `encoded`
   */
  doubles(id: ConstantId, scale: number, primes: number): IntegerConstant {
    return this.#rounded(id, scale, DOUBLES, primes, false)
  }

  #rounded(id: ConstantId, scale: number, form: number, primes: number, isFar: boolean): IntegerConstant {
    const type = form === WORDS ? Int32Array : Float64Array
    const constant = this.#once(id, scale, form, primes, isFar, () => this.#round(id, scale, type, isFar))
    return { ...constant, kept: this.#kept(id, constant.count) }
  }

  /** Number of coefficients that are kept, of `count`. */
  #kept(id: ConstantId, count: number): number {
    return isComplex(this.#constants.at(id)!) ? count : count / 2
  }

  /** The encoding of an earlier request, or a new one. */
  #once(
    id: ConstantId,
    scale: number,
    form: number,
    primes: number,
    isFar: boolean,
    encode: () => Encoding,
  ): EncodedConstant {
    let encoding = this.#encodings.find(id, scale, form)
    if (encoding === undefined) {
      this.#requireFits(id, scale, primes - 1)
      encoding = encode()
      this.#encodings.add(id, scale, form, encoding)
    }
    const { isZero } = encoding
    const address = isFar ? encoding.address * FAR_UNIT : encoding.address
    const { count, shift } = this.#shape(2 * periodOf(this.#constants.at(id)!))
    return { address, count, shift, isZero }
  }

  /**
   * Rounds the coefficients, of real constants the first half: the middle coefficient is zero, and the second
   * half are the negatives of the first half.
   */
  #round(id: ConstantId, scale: number, type: IntegerArray, isFar: boolean): Encoding {
    const coefficients = this.#embedding(id)
    const { count } = this.#shape(coefficients.length)
    const kept = this.#kept(id, count)
    const bytes = kept * type.BYTES_PER_ELEMENT
    const step = count / coefficients.length
    return this.#written(bytes, isFar, (at) => {
      const numbers = new type(this.#context.heap.memory.buffer, at, kept)
      if (step > 1) numbers.fill(0)
      let isZero = true
      for (let i = 0; i < kept / step; i++) {
        const integer = roundToEven(coefficients[i] * scale)
        numbers[i * step] = integer
        isZero &&= integer === 0
      }
      return isZero
    })
  }

  /**
   * Keeps what is written to kernel memory: there, or as a copy in far memory.
   *
   * @param write fills the bytes from an address on, and returns whether all is zero
   */
  #written(bytes: number, isFar: boolean, write: (at: number) => boolean): Encoding {
    this.bytes += bytes
    if (!isFar) {
      const address = this.#arena.allocate(bytes)
      return { address, isZero: write(address) }
    }
    const { heap, ring } = this.#context
    const copied = inFarUnits(bytes)
    // Behind the coefficients of a constant that is being encoded.
    const at = this.#arena.scratch(8 * ring + copied) + 8 * ring
    const isZero = write(at)
    const address = this.#farArena.allocate(copied)
    heap.far.write(address, heap.bytes(at, copied))
    return { address: address / FAR_UNIT, isZero }
  }

  /**
   * For a polynomial in X^(N / size): residues for each prime, and log2 of the run length that each stands
   * for.
   */
  #shape(size: number): { readonly count: number; readonly shift: number } {
    const { ring, kernels } = this.#context
    // Runs that are shorter than the granule of `dot` are written out.
    const isWhole = ring / size < Math.max(kernels.DOT_GRANULE.value, LEAST_BLOCK)
    return isWhole ? { count: ring, shift: 0 } : { count: size, shift: log2Exact(ring / size) }
  }

  /** Frees all encoded constants; programs that read them must not run any more. */
  free(): void {
    this.#arena.free()
    this.#farArena.free()
    this.#encodings.clear()
    this.bytes = 0
  }

  #encode(id: ConstantId, scale: number, primes: number, form: ConstantForm, isFar: boolean): Encoding {
    const { heap, parameters, ring } = this.#context
    const coefficients = this.#embedding(id)
    const size = coefficients.length
    const { count } = this.#shape(size)
    const limbs = primes + (form === 'extended' ? parameters.specialPrimes.length : 0)
    return this.#written(4 * count * limbs, isFar, (address) => {
      const source = this.#arena.scratch(8 * ring)
      new Float64Array(heap.memory.buffer, source, size).set(coefficients)
      for (let place = 0; place < limbs; place++) {
        const at = address + 4 * count * place
        // The special primes follow all data primes.
        const index = place < primes ? place : place - primes + parameters.primes.length
        this.#encodeLimb(source, at, size, scale, index, form)
        if (count !== size) spread(heap.words(at, count), size)
      }
      return roundsToZero(coefficients, scale)
    })
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
    // Tables of smaller transforms are prefixes of those of larger ones.
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

/** Doubles of this size have no fractional bits. */
const NO_FRACTION = 1.5 * 2 ** 52
/** As the kernels round: halves to the even neighbour. @param value below 2^51 in absolute value */
const roundToEven = (value: number): number => value + NO_FRACTION - NO_FRACTION

/** Repeats each residue in place to its full run, from the last one to the first. */
function spread(residues: Uint32Array, size: number): void {
  const block = residues.length / size
  for (let i = size - 1; i >= 0; i--) residues.fill(residues[i], i * block, (i + 1) * block)
}

function scalePlain(residues: Uint32Array, factor: number, q: number): void {
  for (let i = 0; i < residues.length; i++) {
    residues[i] = Number((BigInt(residues[i]) * BigInt(factor)) % BigInt(q))
  }
}
