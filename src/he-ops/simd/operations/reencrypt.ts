import { bitLength } from '../../../circuit/parameters/primes.ts'
import { packedBytes } from '../../../wire/index.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import { aligned } from '../memory/ranges.ts'
import type { Call, Item, ProgramBuilder } from '../program/program.ts'
import { sumArguments } from '../tables/modulus.ts'
import { convert, emitBlockSum } from './convert.ts'
import { IntegerSums, type Integers } from './integers.ts'
import { binomial, sampleScratch } from './sample.ts'

/**
 * Addresses of a masked ciphertext and its fresh encryption. Packed residues are contiguous, prime after
 * prime.
 */
export interface Reencryption {
  /** Addresses of the masked ciphertext's packed polynomials. */
  readonly from: readonly [c0: number, c1: number]
  /** Address of the fresh encryption's packed first polynomial. */
  readonly to: number
  /** Address of the seed of the fresh encryption's second polynomial; drawn here. */
  readonly seed: number
  /**
   * Address of one word for each prime of each masked polynomial: 1 when all residues are below the prime.
   */
  readonly sound: number
  /**
   * Address of one word for each prime of the fresh encryption: the number of words of the seed's stream that
   * were rejected. If one of them is not zero, the encryption is invalid and must be made again.
   */
  readonly rejected: number
}

/** Shape and secret of re-encryptions. */
export interface ReencryptionSpec {
  /** Number of primes of the masked ciphertexts. */
  readonly fromPrimes: number
  /** Number of primes of the fresh encryptions, not smaller. */
  readonly toPrimes: number
  /** Address of -s modulo all primes, in Montgomery form. */
  readonly negated: number
  /** Bytes of a seed. */
  readonly seedBytes: number
}

/**
 * The client's half of a refresh: decrypts masked ciphertexts to integers, exactly, and encrypts these
 * integers anew under the secret key: c0 = m - (a s + e), where a is expanded from a seed.
 *
 * m is the integer of least absolute value with the decrypted residues. Masks are uniform, so m may be next
 * to either end of its range, and the quotients of its base extension must be exact. Modulo the primes that
 * the masked level lacks, m + e is transformed in one transform.
 *
 * One phase for each group of work.
 */
export class ReencryptionEmitter {
  readonly #builder: ProgramBuilder
  readonly #context: SimdContext
  readonly #spec: ReencryptionSpec
  readonly #sums: IntegerSums

  constructor(builder: ProgramBuilder, context: SimdContext, spec: ReencryptionSpec) {
    this.#builder = builder
    this.#context = context
    this.#spec = spec
    this.#sums = new IntegerSums(builder, context)
  }

  /**
   * Adds a phase with one item for each ciphertext. An item draws its random bytes on the thread that runs
   * it.
   */
  phase(work: readonly Reencryption[]): void {
    this.#builder.phase(work.map((one) => this.#item(one)))
  }

  #item(work: Reencryption): Item {
    return (call, scratch) => {
      const space = workspace(this.#context, this.#spec, scratch)
      this.#decrypt(call, work, space)
      this.#prepareExtension(call, space)
      call('random', { address: work.seed, bytes: this.#spec.seedBytes })
      const errors = binomial(call, this.#context, space.errors, space.random)
      this.#encrypt(call, work, errors, space)
      call('clear', { start: scratch, bytes: space.random - scratch })
    }
  }

  /** -m = -c0 + c1 (-s) modulo each prime, in NTT form. */
  #decrypt(call: Call, { from, sound }: Reencryption, space: Workspace): void {
    const { limbBytes, moduli, negatedOnes, ring } = this.#context
    const { fromPrimes, negated } = this.#spec
    let [first, second] = from
    for (let i = 0; i < fromPrimes; i++) {
      const { prime, q } = moduli[i]
      const bits = bitLength(prime)
      call('unpackNoted', { out: space.work, source: first, bits, size: ring, q, sound: sound + 4 * i })
      call('unpackNoted', {
        out: space.uniform,
        source: second,
        bits,
        size: ring,
        q,
        sound: sound + 4 * (fromPrimes + i),
      })
      const blocks = this.#builder.table([space.work, negatedOnes + 4 * i, log2Exact(ring)])
      const vectors = this.#builder.table([space.uniform, negated + i * limbBytes])
      const out = space.message + i * limbBytes
      call('dot', {
        out,
        blockTerms: blocks,
        blockCount: 1,
        vectorTerms: vectors,
        vectorCount: 1,
        ...sumArguments(moduli[i], ring),
      })
      first += packedBytes(ring, bits)
      second += packedBytes(ring, bits)
    }
  }

  #prepareExtension(call: Call, { message, sources }: Workspace): void {
    const { limbBytes } = this.#context
    const { fromPrimes, toPrimes } = this.#spec
    if (toPrimes === fromPrimes) return
    const conversion = this.#conversion()
    for (let i = 0; i < fromPrimes; i++) {
      convert.source(call, this.#context, conversion, i, message + i * limbBytes, sources + i * limbBytes)
    }
    if (conversion.needsQuotients) convert.exactQuotients(call, this.#context, conversion, sources)
  }

  #encrypt(call: Call, work: Reencryption, errors: Integers, space: Workspace): void {
    const { kernels, limbBytes, moduli, negatedOnes, ring } = this.#context
    const { fromPrimes, toPrimes, negated } = this.#spec
    const chunks = (8 * ring) / kernels.CHUNK_BYTES.value
    const shift = log2Exact(ring)
    let to = work.to
    for (let i = 0; i < toPrimes; i++) {
      const { prime, q, forward, quotients } = moduli[i]
      call('uniformNoted', {
        out: space.uniform,
        seed: work.seed,
        firstChunk: i * chunks,
        size: ring,
        q,
        scratch: space.stream,
        rejected: work.rejected + 4 * i,
      })
      if (i < fromPrimes) this.#sums.emit(call, i, [{ integers: errors, factor: 1n }], space.work)
      else this.#extend(call, i, errors, space)
      call('nttForward', { values: space.work, table: forward, quotients, size: ring, q })
      const minus = negatedOnes + 4 * i
      const message = i < fromPrimes ? [space.message + i * limbBytes, minus, shift] : []
      const blocks = [space.work, minus, shift, ...message]
      const vectors = this.#builder.table([space.uniform, negated + i * limbBytes])
      const table = this.#builder.table(blocks)
      call('dot', {
        out: space.work,
        blockTerms: table,
        blockCount: blocks.length / 3,
        vectorTerms: vectors,
        vectorCount: 1,
        ...sumArguments(moduli[i], ring),
      })
      call('pack', { out: to, source: space.work, bits: bitLength(prime), size: ring })
      to += packedBytes(ring, bitLength(prime))
    }
  }

  /** Writes the coefficients of -m + e modulo a prime that the masked level lacks. */
  #extend(call: Call, index: number, errors: Integers, { sources, work }: Workspace): void {
    const { moduli, ones, ring } = this.#context
    const { q } = moduli[index]
    const conversion = this.#conversion()
    const terms = convert.terms(this.#context, conversion, sources, index)
    terms.push(errors.address, ones + 4 * index, log2Exact(ring))
    const bias = (conversion.bias(index) + q - Number(errors.offset)) % q
    emitBlockSum(call, this.#builder, this.#context, { index, terms, bias, out: work })
  }

  #conversion(): ReturnType<SimdContext['conversion']> {
    const indices = Array.from({ length: this.#spec.fromPrimes }, (_, i) => i)
    return this.#context.conversion(indices, true)
  }
}

/** Scratch memory of one item. */
export const reencryptionScratch = (context: SimdContext, spec: ReencryptionSpec): number =>
  workspace(context, spec, 0).end

/**
 * An item's places in its thread's scratch memory. Everything but random bytes and streams is secret, and is
 * overwritten at the end.
 */
interface Workspace {
  /** -m modulo the masked level's primes, in NTT form. */
  readonly message: number
  /** Sources of the base extension: a limb for each of the masked level's primes, and one for quotients. */
  readonly sources: number
  /** Coefficients of the error. */
  readonly errors: number
  readonly uniform: number
  readonly work: number
  readonly random: number
  readonly stream: number
  readonly end: number
}

function workspace(context: SimdContext, { fromPrimes }: ReencryptionSpec, start: number): Workspace {
  const { kernels, limbBytes } = context
  const sources = start + limbBytes * fromPrimes
  const errors = sources + limbBytes * (fromPrimes + 1)
  const uniform = errors + limbBytes
  const work = uniform + limbBytes
  const random = work + limbBytes
  const stream = random + aligned(sampleScratch(context))
  const end = stream + aligned(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)
  return { message: start, sources, errors, uniform, work, random, stream, end }
}
