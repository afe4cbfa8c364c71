import type { KeyGenerator, SecretKey } from 'node-seal'
import { digitCount, digitRange } from '../../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import type { KeySetMaker, Polynomial, SeededRlwe } from '../../../wire/index.ts'
import { automorphismOrder } from '../../encoding/automorphism.ts'
import type { SealContext } from '../context.ts'
import { guarded, withHeap } from '../runtime.ts'
import { keyLevel, seededFromSeal } from '../serialization/serialization.ts'
import { secretPolynomial } from './secret.ts'

/** Makes a client's keys with node-seal; holds residues of the secret key until `delete`. */
export interface KeyMaker extends KeySetMaker {
  publicKey(): SeededRlwe
  relinKey(): SeededRlwe[]
  galoisKey(element: number): SeededRlwe[]
  delete(): void
}

/**
 * Makes the keys of hybrid key switching. Its key from a secret s' to s has one pair for each digit j of the
 * data primes, an encryption of zero under s over all primes with P * g_j * s' added to the first polynomial:
 * P is the product of the special primes, and g_j is 1 modulo the primes of digit j and 0 modulo all others.
 * SEAL samples the encryptions of zero, as its public keys; with one special prime the keys are those that
 * SEAL itself makes.
 *
 * P * g_j is P or 0 modulo each prime, so that P * s' modulo the data primes, computed once, serves all
 * digits; and P * sigma_g(s) is P * s in another order.
 *
 * @param secretKey read now, not kept
 * @throws CONFIG_INVALID when the parameters have a raise level: only the kernels make keys of an ephemeral
 *   secret
 */
export function createKeyMaker(ctx: SealContext, secretKey: SecretKey): KeyMaker {
  const { parameters } = ctx
  if (parameters.raiseLevel !== undefined) throw noEphemeralSecrets()
  const generator = guarded(ctx.seal, () => new ctx.seal.KeyGenerator(ctx.context, secretKey))
  const { secret, square } = scaledSecrets(ctx, secretKey)
  const switchingKey = (target: Polynomial, order: Uint32Array): SeededRlwe[] =>
    Array.from({ length: digitCount(parameters) }, (_, digit) => {
      const pair = encryptZero(ctx, generator)
      const { start, end } = digitRange(parameters, digit)
      for (let i = start; i < end; i++) {
        const halves = [2 * parameters.ring * i, 2 * parameters.ring * (i + 1)] as const
        addModulo(pair.c0.subarray(...halves), target.subarray(...halves), order, parameters.primes[i])
      }
      return pair
    })
  return {
    publicKey: () => encryptZero(ctx, generator),
    relinKey: () => switchingKey(square, automorphismOrder(parameters.ring, 1)),
    galoisKey: (element) => switchingKey(secret, automorphismOrder(parameters.ring, element)),
    raiseKeys() {
      throw noEphemeralSecrets()
    },
    delete() {
      generator.delete()
      secret.fill(0)
      square.fill(0)
    },
  }
}

/** The error of parameters with a raise level where node-seal would have to make their keys. */
export const noEphemeralSecrets = (): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', 'Keys of an ephemeral secret take primes of at most 30 bits')

/** Encrypts zero under the secret key, over all primes. */
function encryptZero(ctx: SealContext, generator: KeyGenerator): SeededRlwe {
  return guarded(ctx.seal, () =>
    withHeap((own) => {
      const publicKey = own(generator.createPublicKeySerializable())
      return seededFromSeal(keyLevel(ctx), publicKey.saveToArray(ctx.seal.ComprModeType.none) as Uint8Array)
    }),
  )
}

/** P * s and P * s^2 modulo the data primes, in NTT form. */
function scaledSecrets(ctx: SealContext, secretKey: SecretKey): { secret: Polynomial; square: Polynomial } {
  const { ring, primes, specialPrimes } = ctx.parameters
  const special = specialPrimes.reduce((product, prime) => product * prime, 1n)
  const residues = new BigUint64Array(secretPolynomial(ctx, secretKey).buffer)
  const secret = new BigUint64Array(ring * primes.length)
  const square = new BigUint64Array(ring * primes.length)
  primes.forEach((prime, i) => {
    const factor = special % prime
    for (let b = ring * i; b < ring * (i + 1); b++) {
      secret[b] = (residues[b] * factor) % prime
      square[b] = (residues[b] * secret[b]) % prime
    }
  })
  residues.fill(0n)
  return { secret: new Uint32Array(secret.buffer), square: new Uint32Array(square.buffer) }
}

const TWO_32 = 2 ** 32

/**
 * sum[b] += terms[order[b]] modulo `prime`, in place. The residues are pairs of 32-bit halves, low first; a
 * prime has at most 60 bits, so that nothing overflows.
 */
function addModulo(sum: Polynomial, terms: Polynomial, order: Uint32Array, prime: bigint): void {
  const primeLow = Number(prime & 0xffffffffn)
  const primeHigh = Number(prime >> 32n)
  for (let b = 0; b < order.length; b++) {
    const from = 2 * order[b]
    let low = sum[2 * b] + terms[from]
    let high = sum[2 * b + 1] + terms[from + 1]
    if (low >= TWO_32) {
      low -= TWO_32
      high++
    }
    if (high > primeHigh || (high === primeHigh && low >= primeLow)) {
      low -= primeLow
      high -= primeHigh
      if (low < 0) {
        low += TWO_32
        high--
      }
    }
    sum[2 * b] = low
    sum[2 * b + 1] = high
  }
}
