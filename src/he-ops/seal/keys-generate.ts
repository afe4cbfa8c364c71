import type { SecretKey } from 'node-seal'
import { galoisElement } from '../../circuit/keys.ts'
import { writeKeySet } from '../../wire/index.ts'
import { backendFor } from '../execution/backend-for.ts'
import { createKernelKeyMaker, type KernelKeyMaker } from '../simd/encryption/key-maker.ts'
import type { SealContext } from './context.ts'
import { secretPolynomial } from './keys-secret.ts'
import { createKeyMaker, type KeyMaker } from './keys-switching.ts'

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
  const maker = await createMaker(ctx, secretKey)
  try {
    yield* writeKeySet(ctx.parameters, galoisElements(ctx, rotationSteps), maker)
  } finally {
    maker.delete()
  }
}

/** With the kernels where they take the primes: keys for the engine that does, made several times as fast. */
async function createMaker(ctx: SealContext, secretKey: SecretKey): Promise<KeyMaker | KernelKeyMaker> {
  if (backendFor(ctx.parameters) === 'seal') return createKeyMaker(ctx, secretKey)
  const secret = secretPolynomial(ctx, secretKey)
  try {
    return await createKernelKeyMaker(ctx.parameters, secret)
  } finally {
    secret.fill(0)
  }
}
