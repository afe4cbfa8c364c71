import { kmac256xof } from '@noble/hashes/sha3-addons.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { PolyVeilError } from '../errors/index.ts'
import { uniformIntegers, type WordSource } from './random.ts'

// Flooding noise is added to those coefficients of an answer that carry logits. It is the sum of two parts
// that pseudo-random functions of the server's key draw. The first part depends on the circuit and the query
// only, so that an average over repetitions of a query does not remove it. The second part depends on all
// inputs of an answer, also on the key set and on the client's replies in refresh rounds. So the difference
// of two answers to one query, which have different noise of the computation, still carries flooding.

/** Bytes of a server's flooding key, and of those that are derived from it. */
export const FLOODING_KEY_BYTES = 32

/** Draws a new secret key of a server from the platform's cryptographic generator. */
export const newFloodingKey = (): Uint8Array => crypto.getRandomValues(new Uint8Array(FLOODING_KEY_BYTES))

/** Keys for the flooding noise of one circuit's answers under one key set, 32 bytes each. */
export interface FloodingKeys {
  /** Key of the part that depends on circuit and query. */
  readonly query: Uint8Array
  /** Key of the part that depends on all inputs of an answer. */
  readonly run: Uint8Array
}

/** Draws fresh keys, for programs that are server and client at once. */
export const newFloodingKeys = (): FloodingKeys => ({ query: newFloodingKey(), run: newFloodingKey() })

/**
 * Derives the keys of a circuit and a key set. The key of the query's part does not depend on the key set, so
 * a client that uploads another key set under the same secret gets the same part again.
 *
 * @param key of the server, `FLOODING_KEY_BYTES` secret bytes
 * @param circuitDigest SHA-256 of the circuit's file; two circuits with equal manifests have different keys
 * @param keySetDigest SHA-256 of the key set's frame
 * @throws INTERNAL when the key has another length
 */
export function floodingKeysOf(
  key: Uint8Array,
  circuitDigest: Uint8Array,
  keySetDigest: Uint8Array,
): FloodingKeys {
  if (key.length !== FLOODING_KEY_BYTES) {
    throw new PolyVeilError('INTERNAL', `A flooding key has ${FLOODING_KEY_BYTES} bytes, not ${key.length}`)
  }
  const derived = (purpose: string, ...parts: readonly Uint8Array[]): Uint8Array =>
    keyed(key, purpose, parts).xof(FLOODING_KEY_BYTES)
  return {
    query: derived('PolyVeil flooding key of queries 2', circuitDigest),
    run: derived('PolyVeil flooding key of runs 2', circuitDigest, keySetDigest),
  }
}

/**
 * Draws the noise of one answer: an integer for each coefficient that carries logits. Their deviation is that
 * of uniform integers in -bound .. bound.
 */
export type DrawFlooding = (count: number, bound: number) => Float64Array

/** Draws fresh noise from the platform's generator. */
export const freshFlooding: DrawFlooding = uniformIntegers

/**
 * The noise of an answer. Each part is uniform, and has half of the variance.
 *
 * @param queryDigest SHA-256 of the query's frame
 * @param replies SHA-256 of the frames that the client answered refresh rounds with, in the order of rounds;
 *   read when the noise is drawn
 */
export function floodingFor(
  { query, run }: FloodingKeys,
  queryDigest: Uint8Array,
  replies: Iterable<Uint8Array> = [],
): DrawFlooding {
  return (count, bound) => {
    const half = Math.round(bound * Math.SQRT1_2)
    const sum = uniformIntegers(count, half, pseudoRandomWords(query, [queryDigest]))
    const other = uniformIntegers(count, half, pseudoRandomWords(run, [queryDigest, ...replies]))
    other.forEach((integer, k) => {
      sum[k] += integer
    })
    other.fill(0)
    return sum
  }
}

/**
 * KMACXOF256 (NIST SP 800-185, section 4.3.1). @param parts of fixed lengths, so that their boundaries are
 * known
 */
const keyed = (key: Uint8Array, purpose: string, parts: readonly Uint8Array[]) => {
  const stream = kmac256xof.create(key, { personalization: utf8ToBytes(purpose) })
  for (const part of parts) stream.update(part)
  return stream
}

/** The function's output as 32-bit words, little-endian. */
function pseudoRandomWords(key: Uint8Array, parts: readonly Uint8Array[]): WordSource {
  const stream = keyed(key, 'PolyVeil flooding 2', parts)
  return (words) => {
    const bytes = new DataView(stream.xof(4 * words.length).buffer)
    for (let i = 0; i < words.length; i++) words[i] = bytes.getUint32(4 * i, true)
  }
}
