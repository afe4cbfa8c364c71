import { kmac256xof } from '@noble/hashes/sha3-addons.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import type { LogitCoefficients } from '../circuit/answer.ts'
import type { CkksParameters } from '../circuit/parameters/parameters.ts'
import type { OutputSpec } from '../circuit/types.ts'
import { PolyVeilError } from '../errors/index.ts'
import { uniformIntegers, type WordSource } from './random.ts'

// Flooding noise is added to those coefficients of an answer that carry logits. A pseudo-random function of
// the server's key and the query's digest draws it: a repeated query gets the same noise, so that an average
// over repetitions removes none of it.

/** Bytes of a server's flooding key. */
export const FLOODING_KEY_BYTES = 32

/** Draws a new secret key of a server from the platform's cryptographic generator. */
export const newFloodingKey = (): Uint8Array => crypto.getRandomValues(new Uint8Array(FLOODING_KEY_BYTES))

/** The noise of one answer: integers from -bound to bound, one for each coefficient that carries logits. */
export type DrawFlooding = (count: number, bound: number) => Float64Array

/** Draws fresh noise from the platform's generator. */
export const freshFlooding: DrawFlooding = uniformIntegers

/**
 * The noise of the answer to a query. The function is KMACXOF256 (NIST SP 800-185, section 4.3.1), whose
 * output is read as 64-bit words, little-endian.
 *
 * @param key of the server, `FLOODING_KEY_BYTES` secret bytes
 * @param queryDigest SHA-256 of the query's frame
 * @throws INTERNAL when the key has another length
 */
export function floodingFor(key: Uint8Array, queryDigest: Uint8Array): DrawFlooding {
  if (key.length !== FLOODING_KEY_BYTES) {
    throw new PolyVeilError('INTERNAL', `A flooding key has ${FLOODING_KEY_BYTES} bytes, not ${key.length}`)
  }
  return (count, bound) => uniformIntegers(count, bound, pseudoRandomWords(key, queryDigest))
}

const PURPOSE = utf8ToBytes('PolyVeil flooding 1')

function pseudoRandomWords(key: Uint8Array, message: Uint8Array): WordSource {
  const stream = kmac256xof.create(key, { personalization: PURPOSE }).update(message)
  return (words) => {
    const bytes = new DataView(stream.xof(4 * words.length).buffer)
    for (let i = 0; i < words.length; i++) words[i] = bytes.getUint32(4 * i, true)
  }
}

/**
 * The bound B of integers uniform in -B .. B on the coefficients that carry logits, for noise of deviation
 * `output.flooding` on a logit. Integers of deviation d on 2P coefficients give deviation d * sqrt(P) in the
 * real part of a slot; uniform ones have a deviation of B / sqrt(3) or slightly more.
 *
 * @throws LEVEL_EXHAUSTED when they do not fit the modulus of the output's level
 */
export function floodingBound(
  { primes }: Pick<CkksParameters, 'primes'>,
  { level, scale, flooding }: Pick<OutputSpec, 'level' | 'scale' | 'flooding'>,
  { count }: LogitCoefficients,
): number {
  const bound = Math.ceil((Math.sqrt(3) * flooding * scale) / Math.sqrt(count / 2))
  const modulus = primes.slice(0, level + 1).reduce((product, prime) => product * Number(prime), 1)
  if (!(bound >= 0 && bound < modulus / 2 && bound < 2 ** 52)) {
    throw new PolyVeilError('LEVEL_EXHAUSTED', `Flooding noise does not fit the modulus of level ${level}`, {
      level,
      needBits: Math.log2(bound) + 1,
      haveBits: Math.log2(modulus),
    })
  }
  return bound
}
