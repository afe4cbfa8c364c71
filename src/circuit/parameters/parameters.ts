import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { PolyVeilError, printable } from '../../errors/index.ts'
import { EPHEMERAL_WEIGHT, ephemeralChain, requireRaiseLevel } from './ephemeral.ts'
import { bitLength, isPrime } from './primes.ts'

/**
 * Largest log2(Q * P) for ternary secrets and sigma 3.2 at 128 bits classical, special and unused primes
 * included. Source: "Security Guidelines for Implementing Homomorphic Encryption", ePrint 2024/463, table
 * 5.2.
 */
export const MAX_LOG_QP: Readonly<Record<number, number>> = Object.freeze({
  8192: 214,
  16384: 430,
  32768: 868,
  65536: 1747,
})

/** The largest ring of the security table. */
export const LARGEST_RING = Math.max(...Object.keys(MAX_LOG_QP).map(Number))

/** Data and special primes together. No modulus within the security table has so many primes. */
export const MAX_PRIMES = 96

/** Unchecked parameters, as files and manifests have them. */
export interface ParametersLiteral {
  /** Polynomial modulus degree N. */
  readonly ring: number
  /** Data primes q_0 .. q_L as decimal strings; a ciphertext at level l has the primes q_0 .. q_l. */
  readonly primes: readonly string[]
  /** Special primes for key switching as decimal strings. */
  readonly specialPrimes: readonly string[]
  /** Level from which servers raise values; absent where they raise none. */
  readonly raiseLevel?: number
}

declare const checked: unique symbol

/**
 * Parameters that have passed `checkParameters`: 128 bits of security, NTT-friendly distinct primes.
 * Immutable.
 */
export interface CkksParameters {
  readonly [checked]: true
  readonly ring: number
  /** N / 2. */
  readonly slots: number
  readonly primes: readonly bigint[]
  readonly specialPrimes: readonly bigint[]
  /** The highest level L = primes.length - 1, at which fresh encryptions are made. */
  readonly topLevel: number
  /**
   * Level from which servers raise values to the highest level, with two keys of an ephemeral secret. Absent
   * where they raise none.
   */
  readonly raiseLevel?: number
  /** log2 of the product of all primes. */
  readonly logQP: number
  /** Classical security in bits. */
  readonly security: 128
  /** SHA-256 in hex over ring and primes; keys and tensors are bound to it. */
  readonly digest: string
}

/** The part of parameters that digits depend on: the chain of primes. */
export type KeySwitchingChain = Pick<CkksParameters, 'primes' | 'specialPrimes'>

// Hybrid key switching cuts a polynomial into digits. A digit has as many consecutive data primes as there
// are special primes. With one special prime this is SEAL's decomposition, one digit for each prime.
//
// Source: Han and Ki, "Better Bootstrapping for Approximate Homomorphic Encryption", ePrint 2019/688, section
// 3.

/** Data primes of a digit; the last digit of a level may have fewer. */
export const digitSize = ({ specialPrimes }: Pick<KeySwitchingChain, 'specialPrimes'>): number =>
  specialPrimes.length

/** Digits of a polynomial at `level`, by default the highest: the pairs of a key switching key. */
export const digitCount = (chain: KeySwitchingChain, level = chain.primes.length - 1): number =>
  Math.ceil((level + 1) / digitSize(chain))

/** The data primes of a digit at `level`, by default the highest: q_start .. q_(end - 1). */
export function digitRange(
  chain: KeySwitchingChain,
  digit: number,
  level = chain.primes.length - 1,
): { readonly start: number; readonly end: number } {
  const start = digit * digitSize(chain)
  return { start, end: Math.min(start + digitSize(chain), level + 1) }
}

const log2 = (n: bigint): number => {
  const shift = Math.max(0, bitLength(n) - 53)
  return Math.log2(Number(n >> BigInt(shift))) + shift
}

/**
 * The one gate through which parameters enter the program, on client and server alike.
 *
 * @throws SECURITY_TOO_LOW when log2(QP) exceeds `MAX_LOG_QP`, or that of the ephemeral secret's key its own
 *   limit
 * @throws CONFIG_INVALID when the ring is unknown or a prime is unusable
 */
export function checkParameters(literal: ParametersLiteral): CkksParameters {
  const { ring } = literal
  const limit = Object.hasOwn(MAX_LOG_QP, ring) ? MAX_LOG_QP[ring] : undefined
  if (limit === undefined) throw invalid(`Ring ${ring} is not one of ${Object.keys(MAX_LOG_QP).join(', ')}`)
  // Counts and sizes are checked first, because testing primes is the only part that takes time.
  const count = literal.primes.length + literal.specialPrimes.length
  if (literal.primes.length === 0 || literal.specialPrimes.length === 0)
    throw invalid('A data prime and a special prime are needed')
  if (count > MAX_PRIMES) throw invalid(`${count} primes are more than ${MAX_PRIMES}`)
  const primes = literal.primes.map((text) => parsePrime(text, ring))
  const specialPrimes = literal.specialPrimes.map((text) => parsePrime(text, ring))
  const all = [...primes, ...specialPrimes]
  if (new Set(all).size !== all.length) throw invalid('The primes are not distinct')
  const logQP = log2(all.reduce((product, prime) => product * prime, 1n))
  if (logQP > limit) {
    throw new PolyVeilError(
      'SECURITY_TOO_LOW',
      `The modulus has ${logQP.toFixed(2)} bits; ring ${ring} allows ${limit} at 128-bit security`,
      { ring, logQP, limit },
    )
  }
  const composite = all.find((prime) => !isPrime(prime))
  if (composite !== undefined) throw invalid(`${composite} is not prime`)
  const { raiseLevel } = literal
  if (raiseLevel !== undefined) requireRaiseLevel({ ring, primes, specialPrimes }, raiseLevel)
  return Object.freeze({
    ring,
    slots: ring / 2,
    primes: Object.freeze(primes),
    specialPrimes: Object.freeze(specialPrimes),
    topLevel: primes.length - 1,
    ...(raiseLevel !== undefined && { raiseLevel }),
    logQP,
    security: 128,
    digest: parametersDigest(ring, primes, specialPrimes, raiseLevel),
  }) as CkksParameters
}

/** The literal of checked parameters, for files and manifests. */
export const parametersLiteral = (parameters: CkksParameters): ParametersLiteral => ({
  ring: parameters.ring,
  primes: parameters.primes.map(String),
  specialPrimes: parameters.specialPrimes.map(String),
  ...(parameters.raiseLevel !== undefined && { raiseLevel: parameters.raiseLevel }),
})

/**
 * The parameters of the key that encrypts under the ephemeral secret; undefined where nothing is raised.
 *
 * @throws as `checkParameters`
 */
export function ephemeralParameters(parameters: CkksParameters): CkksParameters | undefined {
  const { ring, raiseLevel } = parameters
  if (raiseLevel === undefined) return undefined
  const { primes, specialPrimes } = ephemeralChain(parameters, raiseLevel)
  return checkParameters({ ring, primes: primes.map(String), specialPrimes: specialPrimes.map(String) })
}

/**
 * Whether a number has the size and the residue that a prime must have. Whether it is prime is tested
 * elsewhere.
 */
function parsePrime(text: string, ring: number): bigint {
  if (!/^[1-9][0-9]{4,18}$/.test(text)) throw invalid(`"${printable(text.slice(0, 24))}" is no prime`)
  const prime = BigInt(text)
  if (bitLength(prime) > 60) throw invalid(`Prime ${text} has more than 60 bits`)
  if (prime % BigInt(2 * ring) !== 1n) throw invalid(`Prime ${text} is not 1 modulo ${2 * ring}`)
  return prime
}

function parametersDigest(
  ring: number,
  primes: readonly bigint[],
  specialPrimes: readonly bigint[],
  raiseLevel: number | undefined,
): string {
  const raised = raiseLevel === undefined ? '' : `;${raiseLevel};${EPHEMERAL_WEIGHT}`
  const text = `polyveil-ckks-1;ternary;3.2;${ring};${primes.join(',')};${specialPrimes.join(',')}${raised}`
  return bytesToHex(sha256(utf8ToBytes(text)))
}

const invalid = (message: string): PolyVeilError => new PolyVeilError('CONFIG_INVALID', message)
