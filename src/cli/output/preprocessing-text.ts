import type { Preprocessing } from '../../preprocessing/types.ts'

/**
 * How pictures become inputs, in words: "rgb, short side to 232, centre 224x224, bicubic with antialias,
 * ...".
 */
export const preprocessingText = (preprocessing: Preprocessing | null): string =>
  preprocessing === null
    ? 'none: it takes preprocessed tensors, and no pictures'
    : preprocessingSteps(preprocessing).join(', ')

/** The steps from a picture to an input, in order: colours, size, and range of values. */
export function preprocessingSteps(preprocessing: Preprocessing): string[] {
  const { channels, resize, interpolation, mean, std } = preprocessing
  const size = `${resize.height}x${resize.width}`
  return [
    channels === 'grey' ? 'grey, the same in all channels' : 'rgb',
    [
      resize.mode === 'squash' ? `to ${size}` : `short side to ${resize.size}, centre ${size}`,
      interpolation === 'bicubic' ? 'bicubic with antialias' : 'bilinear without antialias',
    ].join(', '),
    `mean ${mean.join(' ')}, deviation ${std.join(' ')}`,
  ]
}

/** Advice for a user who wants to classify pictures. */
export const NO_PREPROCESSING =
  'neither the config nor --preprocessing says how pictures become inputs: the model will take preprocessed tensors, and no pictures'
