import '../client/in-worker/no-eval.ts'
import type { InputSpec } from '../circuit/types.ts'
import type { ImageInput } from '../client/local/image-argument.ts'
import { imageTensor } from '../client/local/input.ts'
import { PolyVeilError } from '../errors/index.ts'
import type { PreprocessedImage } from '../preprocessing/index.ts'

// The script of the Web Worker that prepares pictures.

/** What the page asks for. */
export interface MakeTensor {
  readonly id: number
  readonly image: ImageInput
  readonly input: InputSpec
  readonly invert: boolean
}

/** The answer to it. */
export type MadeTensor =
  | { readonly id: number; readonly tensor: PreprocessedImage }
  | { readonly id: number; readonly error: ReturnType<PolyVeilError['toJSON']> }

addEventListener('message', async ({ data: { id, image, input, invert } }: MessageEvent<MakeTensor>) => {
  const answer: MadeTensor = await imageTensor(image, input, { invert }).then(
    (tensor) => ({ id, tensor }),
    (error) => ({ id, error: knownError(error).toJSON() }),
  )
  postMessage(answer)
})

const knownError = (error: unknown): PolyVeilError =>
  error instanceof PolyVeilError
    ? error
    : new PolyVeilError('IMAGE_UNREADABLE', 'The picture cannot be prepared', {}, { cause: error })
