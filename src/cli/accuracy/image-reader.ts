import type { InputSpec } from '../../circuit/index.ts'
import { imageTensor } from '../../client/index.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { PreprocessedImage } from '../../preprocessing/index.ts'
import { ofFile, readImageFile } from '../input/images.ts'
import type { LabelledImage } from '../input/labelled-images.ts'

/** An image as a file and as the network's input. */
export interface ReadImage {
  readonly bytes: Uint8Array
  readonly tensor: PreprocessedImage
}

export interface ReaderOptions {
  readonly invert?: boolean
  /** Leaves out images that cannot be read. */
  readonly skipUnreadable?: boolean
}

/** Codes of errors that concern one file only. */
const UNREADABLE = ['IMAGE_UNREADABLE', 'TOO_LARGE']

/** Reads and preprocesses images for one model. */
export class ImageReader {
  /** Errors of the images that were left out. */
  readonly skipped = new Map<LabelledImage, PolyVeilError>()
  readonly #input: InputSpec
  readonly #options: ReaderOptions

  constructor(input: InputSpec, options: ReaderOptions) {
    this.#input = input
    this.#options = options
  }

  /**
   * @returns undefined when the image is left out
   * @throws IMAGE_UNREADABLE, TOO_LARGE unless such images are left out; CONFIG_INVALID when the model takes
   *   no pictures
   */
  async read(image: LabelledImage): Promise<ReadImage | undefined> {
    const { invert = false, skipUnreadable = false } = this.#options
    try {
      const bytes = await readImageFile(image.path)
      const tensor = await imageTensor(bytes, this.#input, { invert }).catch((error) => {
        throw ofFile(image.path, error)
      })
      return { bytes, tensor }
    } catch (error) {
      if (!skipUnreadable || !(error instanceof PolyVeilError) || !UNREADABLE.includes(error.code))
        throw error
      this.skipped.set(image, error)
      return undefined
    }
  }
}
