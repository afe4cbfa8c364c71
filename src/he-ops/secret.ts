import { PolyVeilError } from '../errors/index.ts'
import type { Polynomial } from '../wire/index.ts'

/**
 * Refuses a secret key that has been overwritten: an encryption under zero hides nothing.
 *
 * @throws INTERNAL when the secret is zero
 */
export function requireSecret(secret: Polynomial): void {
  if (secret.some((half) => half !== 0)) return
  throw new PolyVeilError('INTERNAL', 'A secret key is used after it was overwritten')
}
