import type { LogitCoefficients } from '../../../circuit/answer.ts'
import { bitLength, invert } from '../../../circuit/parameters/primes.ts'
import { packedBytes } from '../../../wire/index.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import { divisorOf, type OutputKey } from '../keys/output-key.ts'
import { aligned } from '../memory/ranges.ts'
import type { Call, Item, ProgramBuilder } from '../program/program.ts'
import { inverseArguments, sumArguments } from '../tables/modulus.ts'
import type { Value } from '../values/values.ts'
import { IntegerSums, type Integers, type Summand } from './integers.ts'
import { binomial, sampleScratch, ternary, uniformResidues } from './sample.ts'

/**
 * The mask of a ciphertext that is sent: uniform residues, drawn here, which are added to its first
 * polynomial and hide all of it.
 */
export type Mask = KeptMask | AnswerMask

/** The mask of a value that is refreshed; it is kept until the fresh encryption is taken in. */
export interface KeptMask {
  /** Address of the kept mask: N coefficients modulo each of the level's primes, prime after prime. */
  readonly address: number
}

/** The mask of an answer. Coefficients that carry logits get noise instead of a mask. */
export interface AnswerMask {
  readonly logits: LogitCoefficients
  /** Address of the noise: `logits.count` residues modulo each of the level's primes, prime after prime. */
  readonly flooding: number
}

/** A ciphertext that is sent to the client. */
export interface MaskedValue {
  /** Two polynomials at the key's level; unchanged. */
  readonly value: Value
  readonly key: OutputKey
  readonly mask: Mask
  /** Addresses of both packed polynomials, which are written prime after prime. */
  readonly out: readonly [c0: number, c1: number]
}

/**
 * Adds a fresh public-key encryption of zero to ciphertexts, and a mask to their first polynomials. Then they
 * reveal nothing of the computation, except in the coefficients that a mask leaves out. It is SEAL's
 * encryption. Modulo the level's primes and one more, the divisor d, it computes
 *
 *    (b u + e0, a u + e1),  u ternary, e0 and e1 centred binomial, (b, a) the public key,
 *
 * and divides by d with rounding: without the division the errors e0 + e1 s + e u would stay, four bits more
 * of noise.
 *
 * The mask is added as residues modulo the level's primes. Let r be the remainder modulo d of least absolute
 * value, which the residue modulo d determines. The first polynomial gets (b / d) u + (e0 - r) / d + mask:
 * one product of residues, and one sum of integers that is transformed.
 *
 * Takes one phase, with one item for each ciphertext, which draws its random bytes on the thread that runs
 * it.
 */
export function emitMasked(
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly MaskedValue[],
): void {
  const emitter = new MaskedEmitter(builder, context)
  builder.phase(work.map((sent) => emitter.item(sent)))
}

/** Scratch memory of one item at a level. */
export const maskedScratch = (context: SimdContext, level: number): number => workspace(context, level, 0).end

/** An item's places in its thread's scratch memory. */
interface Workspace {
  /** Coefficients of a small polynomial, N words. */
  readonly small: number
  /** Coefficients of the remainder modulo the divisor, N words. */
  readonly remainder: number
  /** Residues modulo one prime; also the mask of an answer. */
  readonly work: number
  /** u modulo the level's primes and the divisor, in NTT form. */
  readonly u: number
  /** `sampleScratch` bytes. */
  readonly random: number
  readonly end: number
}

function workspace(context: SimdContext, level: number, start: number): Workspace {
  const limb = context.limbBytes
  const u = start + 3 * limb
  const random = u + limb * (divisorOf(level) + 1)
  const end = random + aligned(sampleScratch(context))
  return {
    small: start,
    remainder: start + limb,
    work: start + 2 * limb,
    u,
    random,
    end,
  }
}

class MaskedEmitter {
  readonly #builder: ProgramBuilder
  readonly #context: SimdContext
  readonly #sums: IntegerSums

  constructor(builder: ProgramBuilder, context: SimdContext) {
    this.#builder = builder
    this.#context = context
    this.#sums = new IntegerSums(builder, context)
  }

  item({ value, key, mask, out }: MaskedValue): Item {
    return (call, scratch) => {
      const space = workspace(this.#context, key.level, scratch)
      this.#drawU(call, key.level, space)
      this.#polynomial(call, key, 0, value.polynomials[0], mask, space, out[0])
      this.#polynomial(call, key, 1, value.polynomials[1], undefined, space, out[1])
      call('clear', { start: scratch, bytes: space.random - scratch })
    }
  }

  #drawU(call: Call, level: number, { small, u, random }: Workspace): void {
    const integers = ternary(call, this.#context, small, random)
    for (let i = 0; i <= divisorOf(level); i++) {
      this.#transformed(call, i, [{ integers, factor: 1n }], u + i * this.#context.limbBytes)
    }
  }

  /**
   * @param from address of the ciphertext's polynomial
   * @param to address of the packed residues, which are written
   */
  #polynomial(
    call: Call,
    key: OutputKey,
    index: 0 | 1,
    from: number,
    mask: Mask | undefined,
    space: Workspace,
    to: number,
  ): void {
    const { limbBytes, moduli, ones, ring } = this.#context
    const errors = binomial(call, this.#context, space.small, space.random)
    const divisor = divisorOf(key.level)
    const remainder = this.#remainder(call, key, index, errors, space)
    const shift = log2Exact(ring)
    let target = to
    for (let i = 0; i <= key.level; i++) {
      const { prime } = moduli[i]
      const factor = invert(moduli[divisor].prime, prime)
      const summands = [
        { integers: errors, factor },
        { integers: remainder, factor: -factor },
        ...(mask ? [{ integers: this.#drawMask(call, i, mask, space), factor: 1n }] : []),
      ]
      const { work } = space
      this.#transformed(call, i, summands, work)
      const at = i * limbBytes
      const one = ones + 4 * i
      const blocks = this.#builder.table([work, one, shift, from + at, one, shift])
      const vectors = this.#builder.table([space.u + at, key.polynomials[index] + at])
      call('dot', {
        out: work,
        blockTerms: blocks,
        blockCount: 2,
        vectorTerms: vectors,
        vectorCount: 1,
        ...sumArguments(moduli[i], ring),
      })
      call('pack', { out: target, source: work, bits: bitLength(prime), size: ring })
      target += packedBytes(ring, bitLength(prime))
    }
  }

  /** Draws a mask's residues modulo one prime. */
  #drawMask(call: Call, index: number, mask: Mask, space: Workspace): Integers {
    if ('address' in mask) {
      const address = mask.address + index * this.#context.limbBytes
      uniformResidues(call, this.#context, index, address, space.random)
      return { address, offset: 0n }
    }
    const { flooding, logits } = mask
    // The mask is not kept: the sum that reads it overwrites it.
    uniformResidues(call, this.#context, index, space.work, space.random)
    call('scatter', {
      out: space.work,
      values: flooding + 4 * index * logits.count,
      stride: logits.stride,
      count: logits.count,
    })
    return { address: space.work, offset: 0n }
  }

  /** The integers of least absolute value that equal b u + e0, or a u + e1, modulo the divisor. */
  #remainder(
    call: Call,
    key: OutputKey,
    index: 0 | 1,
    errors: Integers,
    { u, work, remainder }: Workspace,
  ): Integers {
    const { limbBytes, moduli, ring } = this.#context
    const divisor = divisorOf(key.level)
    const { prime } = moduli[divisor]
    const at = divisor * limbBytes
    const vectors = this.#builder.table([u + at, key.polynomials[index] + at])
    call('dot', {
      out: work,
      blockTerms: 0,
      blockCount: 0,
      vectorTerms: vectors,
      vectorCount: 1,
      ...sumArguments(moduli[divisor], ring),
    })
    call('nttInverse', inverseArguments(moduli[divisor], ring, work))
    // Adding half of the divisor before the reduction, and subtracting it afterwards, centres the remainder.
    const half = prime / 2n
    const product: Integers = { address: work, offset: -half }
    const summands = [product, errors].map((integers) => ({ integers, factor: 1n }))
    this.#sums.emit(call, divisor, summands, remainder)
    return { address: remainder, offset: half }
  }

  #transformed(call: Call, index: number, summands: readonly Summand[], out: number): void {
    const { moduli, ring } = this.#context
    const { q, forward, quotients } = moduli[index]
    this.#sums.emit(call, index, summands, out)
    call('nttForward', { values: out, table: forward, quotients, size: ring, q })
  }
}
