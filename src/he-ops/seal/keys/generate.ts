import type { SecretKey } from 'node-seal'
import { galoisElement } from '../../../circuit/keys.ts'
import { type KeySetMaker, writeKeySet } from '../../../wire/index.ts'
import { backendFor } from '../../execution/backend-for.ts'
import { KernelKey } from '../../simd/encryption/kernel-key.ts'
import type { SealContext } from '../context.ts'
import { secretPolynomial } from './secret.ts'
import { createKeyMaker } from './switching.ts'

/** The Galois elements of rotation steps, ascending, as key sets list them. */
export const galoisElements = (
  { parameters }: Pick<SealContext, 'parameters'>,
  rotationSteps: readonly number[],
): number[] =>
  [...new Set(rotationSteps.map((steps) => galoisElement(parameters.ring, steps)))].sort((a, b) => a - b)

/**
 * Makes a key set and writes its frame in chunks of one key each, a Galois key being made when it is asked for: memory
 * holds one key at a time. Length: `keySetBytes(ctx.parameters, galoisElements(ctx, rotationSteps))`. The kernels make the
 * keys where they take the primes, several times as fast as node-seal.
 *
 * @param secretKey must live until the generator's first chunk; it is not changed
 * @param rotationSteps 1 to slots - 1, in any order
 */
export async function* generateKeySet(
  ctx: SealContext,
  secretKey: SecretKey,
  rotationSteps: readonly number[],
): AsyncGenerator<Uint8Array, void, undefined> {
  if (backendFor(ctx.parameters) === 'seal') {
    yield* keySetOf(ctx, rotationSteps, createKeyMaker(ctx, secretKey))
    return
  }
  const key = await kernelKey(ctx, secretKey)
  try {
    yield* keySetOf(ctx, rotationSteps, key.keyMaker())
  } finally {
    key.delete()
  }
}

/** The frame of the keys that a maker makes. @param maker deleted at the end */
export async function* keySetOf(
  ctx: Pick<SealContext, 'parameters'>,
  rotationSteps: readonly number[],
  maker: KeySetMaker & { delete(): void },
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* writeKeySet(ctx.parameters, galoisElements(ctx, rotationSteps), maker)
  } finally {
    maker.delete()
  }
}

function kernelKey(ctx: SealContext, secretKey: SecretKey): Promise<KernelKey> {
  const secret = secretPolynomial(ctx, secretKey)
  try {
    return KernelKey.create(ctx.parameters, secret)
  } finally {
    secret.fill(0)
  }
}
