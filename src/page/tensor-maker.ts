import type { InputSpec } from '../circuit/types.ts'
import type { ImageInput } from '../client/local/image-argument.ts'
import { PolyVeilError } from '../errors/index.ts'
import type { PreprocessedImage } from '../preprocessing/index.ts'
import type { MadeTensor, MakeTensor } from './tensor-worker.ts'

/** Makes the input of a network from a picture, in a Web Worker: a large photograph takes a second. */
export class TensorMaker {
  readonly #worker = new Worker(new URL('./tensor-worker.ts', import.meta.url), { type: 'module' })
  readonly #waiting = new Map<number, PromiseWithResolvers<PreprocessedImage>>()
  #id = 0

  constructor() {
    this.#worker.addEventListener('message', ({ data }: MessageEvent<MadeTensor>) => {
      const answer = this.#waiting.get(data.id)
      this.#waiting.delete(data.id)
      if ('tensor' in data) answer?.resolve(data.tensor)
      else answer?.reject(PolyVeilError.fromJSON(data.error))
    })
    this.#worker.addEventListener('error', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('Pictures cannot be prepared'))
      this.#waiting.clear()
    })
  }

  /** @throws IMAGE_UNREADABLE, CONFIG_INVALID, TENSOR_OUT_OF_RANGE as `imageTensor` */
  make(image: ImageInput, input: InputSpec, invert: boolean): Promise<PreprocessedImage> {
    const id = this.#id++
    const answer = Promise.withResolvers<PreprocessedImage>()
    this.#waiting.set(id, answer)
    this.#worker.postMessage({ id, image, input, invert } satisfies MakeTensor)
    return answer.promise
  }
}
