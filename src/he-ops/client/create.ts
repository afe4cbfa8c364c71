import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import { engineNameFor } from '../../schedule/engine-name.ts'
import type { Polynomial } from '../../wire/index.ts'
import { sampleSecret } from '../simd/encryption/sample-secret.ts'
import type { ClientKey } from './client-key.ts'
import { SimdClientKey } from './simd-key.ts'

// node-seal has megabytes, and is loaded only where a prime is too large for the kernels.

const usesKernels = (parameters: CkksParameters): boolean => engineNameFor(parameters) === 'simd'

const sealKey = () => import('./seal-key.ts')

/**
 * Creates a client key from a secret key.
 *
 * @param secret residues modulo all primes, in NTT form; overwritten when the key is deleted
 * @param fingerprint identifies the secret key
 */
export async function createClientKey(
  parameters: CkksParameters,
  secret: Polynomial,
  fingerprint: string,
): Promise<ClientKey> {
  if (usesKernels(parameters)) return new SimdClientKey(parameters, secret, fingerprint)
  return (await sealKey()).SealClientKey.create(parameters, secret, fingerprint)
}

/**
 * Samples a ternary secret key, from the platform's CSPRNG.
 *
 * @returns its residues modulo all primes, in NTT form; the caller overwrites them
 */
export async function sampleSecretKey(parameters: CkksParameters): Promise<Polynomial> {
  return usesKernels(parameters) ? sampleSecret(parameters) : (await sealKey()).sampleBySeal(parameters)
}

/**
 * Whether clients can take part in refresh rounds. The base extension of masked values runs on the kernels,
 * which take primes below 2^30.
 */
export const canRefresh = usesKernels
