import type { CkksParameters } from '../../circuit/parameters.ts'
import type { Polynomial } from '../../wire/index.ts'
import { backendFor } from '../execution/backend-for.ts'
import { sampleTernary } from '../simd/encryption/sample-ternary.ts'
import { createSealContext } from './context.ts'
import { generateSecretKey, secretPolynomial } from './keys-secret.ts'
import { loadSeal } from './runtime.ts'

/**
 * A fresh ternary secret key, sampled by node-seal from the platform's CSPRNG.
 *
 * @returns its residues modulo all primes, in NTT form, for the caller to overwrite
 */
export async function sampleSecretKey(parameters: CkksParameters): Promise<Polynomial> {
  if (backendFor(parameters) === 'simd') return sampleTernary(parameters)
  const ctx = createSealContext(await loadSeal(), parameters, 'highest level')
  try {
    const key = generateSecretKey(ctx)
    const secret = secretPolynomial(ctx, key)
    key.delete()
    return secret
  } finally {
    ctx.delete()
  }
}
