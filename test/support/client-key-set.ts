import type { SecretKey } from 'node-seal'
import { createClientKey } from '../../src/he-ops/client/create.ts'
import type { SealContext } from '../../src/he-ops/seal/context.ts'
import { secretPolynomial } from '../../src/he-ops/seal/keys/index.ts'

/** Makes a key set as a client does, for a secret key that node-seal sampled. @returns its chunks */
export async function* clientKeySet(
  context: SealContext,
  secretKey: SecretKey,
  galoisElements: readonly number[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const secret = secretPolynomial(context, secretKey)
  const key = await createClientKey(context.parameters, secret, '')
  try {
    yield* key.keySet(galoisElements)
  } finally {
    key.delete()
  }
}
