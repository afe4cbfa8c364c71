import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import { engineNameFor } from '../../schedule/engine-name.ts'
import type { Polynomial } from '../../wire/index.ts'
import type { RestrictedContexts } from '../seal/restricted-contexts.ts'
import type { ClientKey } from './client-key.ts'
import { sampleByKernels, sampleBySeal } from './sample-secret.ts'
import { SealClientKey } from './seal-key.ts'
import { SimdClientKey } from './simd-key.ts'

const usesKernels = (parameters: CkksParameters): boolean => engineNameFor(parameters) === 'simd'

/**
 * Creates a client key from a secret key.
 *
 * @param contexts of the key's parameters; deleted with the key
 * @param secret residues modulo all primes, in NTT form; overwritten when the key is deleted
 * @param fingerprint identifies the secret key
 */
export const createClientKey = (
  contexts: RestrictedContexts,
  secret: Polynomial,
  fingerprint: string,
): ClientKey =>
  usesKernels(contexts.parameters)
    ? new SimdClientKey(contexts, secret, fingerprint)
    : new SealClientKey(contexts, secret, fingerprint)

/**
 * Samples a ternary secret key with node-seal, from the platform's CSPRNG.
 *
 * @returns its residues modulo all primes of the contexts' parameters, in NTT form; the caller overwrites
 *   them
 */
export const sampleSecretKey = (contexts: RestrictedContexts): Promise<Polynomial> =>
  usesKernels(contexts.parameters) ? sampleByKernels(contexts) : sampleBySeal(contexts)

/**
 * Whether clients can take part in refresh rounds. The base extension of masked values runs on the kernels,
 * which take primes below 2^30.
 */
export const canRefresh = usesKernels
