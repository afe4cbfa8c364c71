import { PolyVeilError } from '../../errors/index.ts'
import type { PreprocessedImage } from '../../preprocessing/index.ts'

/**
 * Reads images one after another.
 *
 * @param read makes the tensor of one image
 * @returns for each image its tensor, or the `PolyVeilError` of `read`
 * @throws the signal's reason when it is aborted; other errors of `read`, which are faults of the program
 */
export async function readImages<Image>(
  images: readonly Image[],
  read: (image: Image) => Promise<PreprocessedImage>,
  signal?: AbortSignal,
): Promise<PromiseSettledResult<PreprocessedImage>[]> {
  const results: PromiseSettledResult<PreprocessedImage>[] = []
  for (const image of images) {
    signal?.throwIfAborted()
    results.push(await settled(() => read(image)))
  }
  return results
}

/** Runs a step and catches its `PolyVeilError`. @throws every other error */
export async function settled<T>(step: () => Promise<T>): Promise<PromiseSettledResult<T>> {
  try {
    return { status: 'fulfilled', value: await step() }
  } catch (reason) {
    if (!(reason instanceof PolyVeilError)) throw reason
    return { status: 'rejected', reason }
  }
}

/**
 * The values of steps that all succeeded. @throws the first error, with the image's place in a list of
 * several
 */
export function valuesOf<T>(results: readonly PromiseSettledResult<T>[]): T[] {
  return results.map((result, place) => {
    if (result.status === 'fulfilled') return result.value
    const { reason } = result
    if (results.length === 1 || !(reason instanceof PolyVeilError)) throw reason
    throw reason.restated(`images[${place}]: ${reason.message}`, { image: place })
  })
}
