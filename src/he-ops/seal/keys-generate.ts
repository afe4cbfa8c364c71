import type { KeyGenerator, SecretKey } from 'node-seal'
import { galoisElement } from '../../circuit/keys.ts'
import { type KeySetMaker, type SeededRlwe, writeKeySet } from '../../wire/index.ts'
import type { SealContext } from './context.ts'
import { type Deletable, guarded, withHeap } from './runtime.ts'
import { keyLevel, seededFromSeal, switchingKeyFromSeal } from './serialization.ts'

/** The Galois elements of rotation steps, ascending, as key sets list them. */
export const galoisElements = (ctx: SealContext, rotationSteps: readonly number[]): number[] =>
  [...new Set(rotationSteps.map((steps) => galoisElement(ctx.parameters.ring, steps)))].sort((a, b) => a - b)

/**
 * Makes a key set and writes its frame in chunks of one key each, a Galois key being made when it is asked for: memory
 * holds one key at a time. Length: `keySetBytes(ctx.parameters, galoisElements(ctx, rotationSteps))`.
 *
 * @param secretKey must live until the generator ends; it is not changed
 * @param rotationSteps 1 to slots - 1, in any order
 */
export async function* generateKeySet(
  ctx: SealContext,
  secretKey: SecretKey,
  rotationSteps: readonly number[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const { parameters } = ctx
  const stepsOf = new Map(rotationSteps.map((steps) => [galoisElement(parameters.ring, steps), steps]))
  const generator = guarded(ctx.seal, () => new ctx.seal.KeyGenerator(ctx.context, secretKey))
  try {
    yield* writeKeySet(parameters, galoisElements(ctx, rotationSteps), keyMaker(ctx, generator, stepsOf))
  } finally {
    generator.delete()
  }
}

function keyMaker(
  ctx: SealContext,
  generator: KeyGenerator,
  stepsOf: ReadonlyMap<number, number>,
): KeySetMaker {
  const level = keyLevel(ctx)
  const digits = ctx.parameters.primes.length
  const switchingKey = (make: () => Savable, vectors: number, vector: number): SeededRlwe[] =>
    switchingKeyFromSeal(level, serialize(ctx, make), { vectors, vector, digits })
  return {
    publicKey: () =>
      seededFromSeal(
        level,
        serialize(ctx, () => generator.createPublicKeySerializable()),
      ),
    relinKey: () => switchingKey(() => generator.createRelinKeysSerializable(), 1, 0),
    galoisKey(element) {
      const steps = Int32Array.of(stepsOf.get(element)!)
      const make = () => generator.createGaloisKeysSerializableWithSteps(steps)
      return switchingKey(make, level.ring, (element - 1) / 2)
    },
  }
}

interface Savable extends Deletable {
  saveToArray(mode: SealContext['seal']['ComprModeType']['none']): unknown
}

const serialize = ({ seal }: SealContext, make: () => Savable): Uint8Array =>
  guarded(seal, () => withHeap((own) => own(make()).saveToArray(seal.ComprModeType.none) as Uint8Array))
