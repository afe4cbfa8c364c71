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
 * Puts a secret key to use.
 *
 * @param contexts of the key's parameters; deleted with the key
 * @param secret its residues modulo all primes, in NTT form; overwritten when the key is deleted
 * @param fingerprint names the secret key
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
 * @returns its residues modulo all primes of the contexts' parameters, in NTT form, for the caller to
 *   overwrite
 */
export const sampleSecretKey = (contexts: RestrictedContexts): Promise<Polynomial> =>
  usesKernels(contexts.parameters) ? sampleByKernels(contexts) : sampleBySeal(contexts)

/**
 * Whether clients can take part in refresh rounds: they lift masked values with the kernels, whose lanes hold
 * small primes.
 */
export const canRefresh = usesKernels
