import { preprocessingFault } from '../preprocessing/check.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import { invalidConfig } from './invalid-config.ts'

/** Size of the preprocessed image. */
type Size = { readonly height: number; readonly width: number }

/** The published preprocessings that have a name: that of the stem whose networks are published with it. */
export const PUBLISHED_PREPROCESSINGS = ['imagenet', 'lowres'] as const
export type PublishedPreprocessing = (typeof PUBLISHED_PREPROCESSINGS)[number]

/**
 * The preprocessing that networks of a stem are published with. ImageNet networks resize the short side to
 * 232 for a crop of 224, and in proportion for other sizes; for an oblong input the longer side counts, so
 * that the crop fits.
 */
export function defaultPreprocessing(
  published: PublishedPreprocessing,
  { height, width }: Size,
): Preprocessing {
  if (published === 'lowres') {
    return {
      channels: 'rgb',
      resize: { mode: 'squash', height, width },
      interpolation: 'bicubic',
      mean: [0.49139968, 0.48215827, 0.44653124],
      std: [0.24703233, 0.24348505, 0.26158768],
    }
  }
  const size = Math.round((Math.max(height, width) * 232) / 224)
  return {
    channels: 'rgb',
    resize: { mode: 'shortSide', size, height, width },
    interpolation: 'bicubic',
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
  }
}

/** @throws CONFIG_INVALID when the preprocessing does not yield an image of the input size */
export function checkPreprocessing(preprocessing: Preprocessing, inputSize: Size): void {
  const fault = preprocessingFault(preprocessing, inputSize)
  if (fault) throw invalidConfig(`preprocessing.${fault.field}`, fault.reason)
}
