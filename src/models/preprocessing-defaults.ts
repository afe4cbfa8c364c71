import { preprocessingFault } from '../preprocessing/check.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import { invalidConfig } from './invalid-config.ts'

/** Size of the preprocessed image. */
interface Size {
  readonly height: number
  readonly width: number
}

/**
 * The published preprocessings that have a name: CPolyNeXt's two, by its stems, and those of other families.
 */
export const PUBLISHED_PREPROCESSINGS = ['imagenet', 'lowres', 'dttn', 'monet'] as const
export type PublishedPreprocessing = (typeof PUBLISHED_PREPROCESSINGS)[number]

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
const HALF = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }
const CIFAR = {
  mean: [0.49139968, 0.48215827, 0.44653124],
  std: [0.24703233, 0.24348505, 0.26158768],
}

/**
 * A published preprocessing at an input size. At 224 x 224, `imagenet` resizes the short side to 232, `dttn`
 * and `monet` to 256; other sizes are in proportion, and for an oblong input the longer side counts, so that
 * the crop fits.
 */
export function defaultPreprocessing(published: PublishedPreprocessing, size: Size): Preprocessing {
  switch (published) {
    case 'imagenet':
      return cropped(size, 232, IMAGENET)
    case 'dttn':
      return cropped(size, 256, IMAGENET)
    case 'monet':
      return cropped(size, 256, HALF)
    case 'lowres':
      return bicubic({ mode: 'squash', height: size.height, width: size.width }, CIFAR)
  }
}

/** A centre crop. @param shortSide length of the short side before a crop of 224 */
function cropped({ height, width }: Size, shortSide: number, statistics: typeof IMAGENET): Preprocessing {
  const size = Math.round((Math.max(height, width) * shortSide) / 224)
  return bicubic({ mode: 'shortSide', size, height, width }, statistics)
}

const bicubic = (resize: Preprocessing['resize'], statistics: typeof IMAGENET): Preprocessing => ({
  channels: 'rgb',
  resize,
  interpolation: 'bicubic',
  ...statistics,
})

/** @throws CONFIG_INVALID when the preprocessing does not yield an image of the input size */
export function checkPreprocessing(preprocessing: Preprocessing, inputSize: Size): void {
  const fault = preprocessingFault(preprocessing, inputSize)
  if (fault) throw invalidConfig(`preprocessing.${fault.field}`, fault.reason)
}
