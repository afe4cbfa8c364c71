import type { SecretKey } from 'node-seal'
import { galoisElement } from '../../circuit/keys.ts'
import { writeKeySet } from '../../wire/index.ts'
import type { SealContext } from './context.ts'
import { createKeyMaker } from './keys-switching.ts'

/** The Galois elements of rotation steps, ascending, as key sets list them. */
export const galoisElements = (ctx: SealContext, rotationSteps: readonly number[]): number[] =>
  [...new Set(rotationSteps.map((steps) => galoisElement(ctx.parameters.ring, steps)))].sort((a, b) => a - b)

/**
 * Makes a key set and writes its frame in chunks of one key each, a Galois key being made when it is asked for: memory
 * holds one key at a time. Length: `keySetBytes(ctx.parameters, galoisElements(ctx, rotationSteps))`.
 *
 * @param secretKey must live until the generator's first chunk; it is not changed
 * @param rotationSteps 1 to slots - 1, in any order
 */
export async function* generateKeySet(
  ctx: SealContext,
  secretKey: SecretKey,
  rotationSteps: readonly number[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const maker = createKeyMaker(ctx, secretKey)
  try {
    yield* writeKeySet(ctx.parameters, galoisElements(ctx, rotationSteps), maker)
  } finally {
    maker.delete()
  }
}
