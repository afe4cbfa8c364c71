import type { Polynomial } from '../../../wire/index.ts'
import { backendFor } from '../../execution/backend-for.ts'
import { sampleTernary } from '../../simd/encryption/sample-ternary.ts'
import { createSealContext } from '../context.ts'
import type { RestrictedContexts } from '../restricted-contexts.ts'
import { generateSecretKey, secretPolynomial } from './secret.ts'

/**
 * A fresh ternary secret key, sampled by node-seal from the platform's CSPRNG.
 *
 * @returns its residues modulo all primes of the contexts' parameters, in NTT form, for the caller to overwrite
 */
export async function sampleSecretKey(contexts: RestrictedContexts): Promise<Polynomial> {
  const { parameters, seal } = contexts
  if (backendFor(parameters) === 'simd') return sampleTernary(contexts)
  const ctx = createSealContext(seal, parameters, 'highest level')
  try {
    const key = generateSecretKey(ctx)
    const secret = secretPolynomial(ctx, key)
    key.delete()
    return secret
  } finally {
    ctx.delete()
  }
}
