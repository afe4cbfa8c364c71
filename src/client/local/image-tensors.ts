import type { InputSpec } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { PreprocessedImage } from '../../preprocessing/index.ts'
import type { ImageInput } from './image-argument.ts'
import { imageTensor, type PictureOptions } from './input.ts'

interface ReadOptions extends PictureOptions {
  readonly signal?: AbortSignal
  /** Called with each image before it is read; may throw a `PolyVeilError`. */
  readonly check?: (image: ImageInput) => void
}

/**
 * The tensors of images, or of each what is wrong with it.
 *
 * @throws the signal's reason when it is aborted; what is no `PolyVeilError` is a fault of the program and
 *   thrown, too
 */
export async function imageTensors(
  images: readonly ImageInput[],
  spec: InputSpec,
  { signal, check = () => {}, ...options }: ReadOptions = {},
): Promise<PromiseSettledResult<PreprocessedImage>[]> {
  const results: PromiseSettledResult<PreprocessedImage>[] = []
  for (const image of images) {
    signal?.throwIfAborted()
    const read = async () => {
      check(image)
      return imageTensor(image, spec, options)
    }
    results.push(await settled(read))
  }
  return results
}

/** What became of a step, where it is an error that a user can act on. @throws every other error */
export async function settled<T>(step: () => Promise<T>): Promise<PromiseSettledResult<T>> {
  try {
    return { status: 'fulfilled', value: await step() }
  } catch (reason) {
    if (!(reason instanceof PolyVeilError)) throw reason
    return { status: 'rejected', reason }
  }
}

/**
 * The values where all are there. @throws the first error, with the image's place in the list where there are
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
