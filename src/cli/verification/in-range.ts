import { PolyVeilError } from '../../errors/index.ts'
import type { PreprocessedImage } from '../../preprocessing/index.ts'
import type { BatchSeconds, OnProgress, VerificationBackend } from './backend.ts'

/** The result of a step; undefined when an image is out of range. */
export async function inRange<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step()
  } catch (error) {
    if (error instanceof PolyVeilError && error.code === 'TENSOR_OUT_OF_RANGE') return undefined
    throw error
  }
}

/**
 * Runs images that share ciphertexts. One image that overflows spoils its batch, so each image is then run
 * separately to find it. Only a program that has both sides may do so: a server must not learn which of its
 * answers decrypt badly.
 *
 * @returns the logits of each image, undefined for one that is out of range; the seconds of the batch, absent
 *   when it is spoilt
 */
export async function runSeparating(
  engine: VerificationBackend,
  images: readonly PreprocessedImage[],
  onProgress: OnProgress,
): Promise<{ logits: (Float64Array | undefined)[]; seconds?: BatchSeconds }> {
  const together = await inRange(() => engine.run(images, onProgress))
  if (together) return { logits: [...together.logits], seconds: together.seconds }
  const logits: (Float64Array | undefined)[] = images.map(() => undefined)
  if (images.length === 1) return { logits }
  for (const [k, image] of images.entries()) {
    logits[k] = (await inRange(() => engine.run([image], onProgress)))?.logits[0]
  }
  return { logits }
}
