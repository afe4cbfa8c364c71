import type { SecretKey } from 'node-seal'
import { writeKeySet } from '../../../wire/index.ts'
import type { SealContext } from '../context.ts'
import { createKeyMaker } from './switching.ts'

/**
 * Makes a key set with node-seal and yields its frame in chunks of one key each. Each Galois key is made when
 * its chunk is requested, so that memory holds one key at a time. Length: `keySetBytes(ctx.parameters,
 * galoisElements)`.
 *
 * @param secretKey must live until the generator's first chunk; unchanged
 * @param galoisElements ascending
 */
export async function* generateKeySet(
  ctx: SealContext,
  secretKey: SecretKey,
  galoisElements: readonly number[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const maker = createKeyMaker(ctx, secretKey)
  try {
    yield* writeKeySet(ctx.parameters, galoisElements, maker)
  } finally {
    maker.delete()
  }
}
