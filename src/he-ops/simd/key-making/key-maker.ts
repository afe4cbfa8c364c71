import { type CkksParameters, digitCount, digitRange } from '../../../circuit/parameters.ts'
import { bitLength } from '../../../circuit/primes.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import {
  type KeySetMaker,
  type PackedRlwe,
  type Polynomial,
  packedBytes,
  SEED_BYTES,
  type SeededRlwe,
} from '../../../wire/index.ts'
import { log2Exact } from '../../encoding/order.ts'
import { createKernelMemory, instantiateKernels } from '../../kernels/kernels.ts'
import { createSimdContext, type SimdContext } from '../context.ts'
import { Heap } from '../heap.ts'
import { type SecretTables, secretTables } from './secret.ts'
import { createZeroSource, type ZeroSource } from './zeros.ts'

// Keys as node-seal would make them, most of the work being the kernels'. A pair is an encryption of zero over all primes
// (and P * g_j * s' added, as `seal/keys-switching.ts` says). node-seal samples it modulo the first prime alone,
//
//    c0 = -(a * s + e) mod q_0,   a uniform, expanded from a seed; e the error,
//
// and the kernels extend it to the others. The seed's stream goes on where a modulo q_0 ends: read on, it gives a modulo
// q_1, q_2 and so on, the very residues that node-seal would have drawn. The error is a polynomial of small integers, so
// that it can be read from c0 + a * s mod q_0 and has known residues modulo every other prime. What comes out is
// -(a * s + e) modulo all primes, for the a and the e that node-seal has drawn: its own distribution of encryptions of
// zero. Nothing is drawn here, and what node-seal gave is a part of what is published, so that no second sample with the
// same error exists anywhere.

/** Coefficients of SEAL's error are sums and differences of 42 random bits, and none is larger. */
export const ERROR_BOUND = 21

/** Makes a client's keys with the kernels; holds residues of the secret key until `delete`. */
export interface KernelKeyMaker extends KeySetMaker {
  publicKey(): PackedRlwe
  relinKey(): PackedRlwe[]
  galoisKey(element: number): PackedRlwe[]
  delete(): void
}

export interface KernelKeyMakerOptions {
  /** To work in: unused before, all zero after `delete`. */
  readonly memory?: WebAssembly.Memory
  /** Deleted with the maker. */
  readonly zeros?: ZeroSource
}

/**
 * @param parameters primes below 2^30
 * @param secret the secret key's residues modulo all primes; read now, not kept
 * @throws CONFIG_INVALID when a prime is too large for the kernels
 */
export async function createKernelKeyMaker(
  parameters: CkksParameters,
  secret: Polynomial,
  { memory = createKernelMemory('unshared'), zeros }: KernelKeyMakerOptions = {},
): Promise<KernelKeyMaker> {
  const context = createSimdContext(await instantiateKernels(memory), new Heap(memory), parameters)
  const source = zeros ?? (await createZeroSource(parameters, secret))
  try {
    return new PairMaker(context, source, secretTables(context, secret))
  } catch (error) {
    source.delete()
    wipe(memory)
    throw error
  }
}

const wipe = ({ buffer }: WebAssembly.Memory): unknown => new Uint8Array(buffer).fill(0)

/** Address of what is added to c0 modulo prime `i`, if anything. */
type Addend = (i: number) => number | undefined

class PairMaker implements KernelKeyMaker {
  readonly #context: SimdContext
  readonly #zeros: ZeroSource
  readonly #secret: SecretTables
  /** P * sigma(s) for the Galois key that is being made. */
  readonly #rotated: number
  readonly #seed: number
  readonly #scratch: number
  /** One polynomial's residues modulo one prime each. */
  readonly #uniform: number
  readonly #error: number
  readonly #work: number
  readonly #packed: number
  /** Terms of a `dot`: two of blocks and one of vectors. */
  readonly #blockTerms: number
  readonly #vectorTerms: number

  constructor(context: SimdContext, zeros: ZeroSource, secret: SecretTables) {
    const { heap, kernels, limbBytes, parameters } = context
    this.#context = context
    this.#zeros = zeros
    this.#secret = secret
    this.#rotated = heap.allocate(parameters.primes.length * limbBytes)
    this.#seed = heap.allocate(SEED_BYTES)
    this.#scratch = heap.allocate(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)
    this.#uniform = heap.allocate(limbBytes)
    this.#error = heap.allocate(limbBytes)
    this.#work = heap.allocate(limbBytes)
    this.#packed = heap.allocate(limbBytes)
    this.#blockTerms = heap.allocate(24)
    this.#vectorTerms = heap.allocate(8)
  }

  publicKey(): PackedRlwe {
    return this.#pair(() => undefined)
  }

  relinKey(): PackedRlwe[] {
    return this.#switchingKey(this.#secret.square)
  }

  galoisKey(element: number): PackedRlwe[] {
    const { galois, kernels, limbBytes, parameters, ring } = this.#context
    const table = galois.table(element)
    parameters.primes.forEach((_, i) => {
      const at = i * limbBytes
      kernels.permute(this.#rotated + at, this.#secret.scaled + at, table, galois.patterns, ring)
    })
    return this.#switchingKey(this.#rotated)
  }

  delete(): void {
    this.#zeros.delete()
    wipe(this.#context.heap.memory)
  }

  /** @param target address of P * s' modulo the data primes */
  #switchingKey(target: number): PackedRlwe[] {
    const { limbBytes, parameters } = this.#context
    return Array.from({ length: digitCount(parameters) }, (_, digit) => {
      const { start, end } = digitRange(parameters, digit)
      return this.#pair((i) => (i >= start && i < end ? target + i * limbBytes : undefined))
    })
  }

  #pair(addend: Addend): PackedRlwe {
    for (;;) {
      const zero = this.#zeros.next()
      const limbs = this.#extend(zero, addend)
      if (limbs !== undefined) return { limbs, seed: zero.seed }
    }
  }

  /**
   * The first polynomial modulo all primes, from that modulo the first one. Undefined when a word of the seed's stream is
   * not taken for a residue, once in some 2^16 pairs: the one that replaces it comes from behind the words of all primes,
   * which were fewer when the first polynomial was made.
   */
  #extend(zero: SeededRlwe, addend: Addend): PackedRlwe['limbs'] | undefined {
    const { heap, moduli } = this.#context
    heap.bytes(this.#seed, SEED_BYTES).set(zero.seed)
    const limbs: PackedRlwe['limbs'][number][] = []
    for (let i = 0; i < moduli.length; i++) {
      if (!this.#drawUniform(i)) return undefined
      if (i === 0) this.#readError(zero.c0)
      this.#reduceError(i)
      limbs.push(this.#pack(i, this.#encrypt(i, addend(i))))
    }
    return limbs
  }

  /** Residues of a modulo prime `i`, in NTT form. @returns false when a word would have to be drawn anew */
  #drawUniform(i: number): boolean {
    const { kernels, moduli, ring } = this.#context
    const firstChunk = i * ((8 * ring) / kernels.CHUNK_BYTES.value)
    return kernels.uniform(this.#uniform, this.#seed, firstChunk, ring, moduli[i].q, this.#scratch) === 0
  }

  /** Coefficients of e + `ERROR_BOUND`, from c0 = -(a * s + e) modulo the first prime. */
  #readError(c0: Polynomial): void {
    const { heap, kernels, moduli, ring } = this.#context
    const [{ backward, quotients, q, inverseSize, last }] = moduli
    const words = heap.words(this.#work, ring)
    for (let b = 0; b < ring; b++) words[b] = c0[2 * b]
    const { w, quotient } = inverseSize
    this.#minusProduct(0, this.#error, this.#work)
    kernels.nttInverse(this.#error, backward, quotients, ring, q, w, quotient, last.w, last.quotient)
    kernels.scale(this.#error, this.#error, ERROR_BOUND, ...one(q), ring, q)
    if (heap.words(this.#error, ring).every((shifted) => shifted <= 2 * ERROR_BOUND)) return
    throw new PolyVeilError('INTERNAL', 'An encryption of zero has a larger error than it should')
  }

  /** Residues of e modulo prime `i`, in NTT form. */
  #reduceError(i: number): void {
    const { kernels, moduli, ring } = this.#context
    const { q, forward, quotients } = moduli[i]
    kernels.scale(this.#work, this.#error, q - ERROR_BOUND, ...one(q), ring, q)
    kernels.nttForward(this.#work, forward, quotients, ring, q)
  }

  /** -(a * s + e) + addend modulo prime `i`. @returns its address */
  #encrypt(i: number, addend: number | undefined): number {
    this.#minusProduct(i, this.#work, this.#work, addend)
    return this.#work
  }

  /** out = addend - a * s - minus modulo prime `i`. */
  #minusProduct(i: number, out: number, minus: number, addend?: number): void {
    const { heap, kernels, limbBytes, moduli, negatedOnes, ones, ring } = this.#context
    const { q, inverse, chunk } = moduli[i]
    const shift = log2Exact(ring)
    const added = addend === undefined ? [] : [addend, ones + 4 * i, shift]
    const terms = [minus, negatedOnes + 4 * i, shift, ...added]
    heap.words(this.#blockTerms, terms.length).set(terms)
    heap.words(this.#vectorTerms, 2).set([this.#uniform, this.#secret.negated + i * limbBytes])
    const count = terms.length / 3
    kernels.dot(out, this.#blockTerms, count, this.#vectorTerms, 1, 0, ring, q, inverse, chunk, 0)
  }

  #pack(i: number, residues: number): PackedRlwe['limbs'][number] {
    const { heap, kernels, moduli, ring } = this.#context
    const { prime } = moduli[i]
    const bits = bitLength(prime)
    kernels.pack(this.#packed, residues, bits, ring)
    return { prime, bits, bytes: heap.bytes(this.#packed, packedBytes(ring, bits)).slice() }
  }
}

/** The factor 1 for the `scale` kernel. */
const one = (q: number): [w: number, quotient: number] => [1, Math.floor(2 ** 32 / q)]
