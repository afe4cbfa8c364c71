import type { PolyVeilError } from '../../errors/index.ts'
import type { PreprocessedImage, Preprocessing } from '../../preprocessing/index.ts'

/**
 * Mean brightness below which pictures are called dark, and above which light; photographs have 0.4 to 0.5.
 */
const DARK = 0.35
const LIGHT = 0.65

function average(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]
  return sum / values.length
}

/**
 * The mean brightness of a preprocessed picture, from 0 for black to 1 for white. It compares with the mean
 * of the preprocessing, which is that of the training pictures.
 */
export function brightness(
  { shape: [channels], tensor }: PreprocessedImage,
  { mean, std }: Preprocessing,
): number {
  const area = tensor.length / channels
  const means = mean.map((m, c) => m + std[c] * average(tensor.subarray(c * area, (c + 1) * area)))
  return average(means)
}

/** Text on the kind of pictures that a network expects by its preprocessing, and the remedy for others. */
export function expectedPictures({ channels, mean }: Preprocessing): string {
  const expected = average(mean)
  const colours = channels === 'grey' ? 'grey' : 'colour'
  const figure = `mean brightness ${expected.toFixed(2)}, where 0 is black and 1 is white`
  if (expected >= DARK && expected <= LIGHT) return `The network expects ${colours} pictures (${figure})`
  const [kind, other] =
    expected < DARK ? ['light on dark', 'dark on light'] : ['dark on light', 'light on dark']
  return (
    `The network expects ${colours} pictures that are ${kind} (${figure}); ` +
    `invert one that is ${other}: --invert on the command line, invert: true in a program`
  )
}

/**
 * The error for an answer that is not an honest result, with advice on the picture: a network with polynomial
 * activations diverges on pictures unlike its training set.
 *
 * @param cause the error of `readBatch`
 * @param preprocessing null when the network takes only tensors
 * @param images that share the answer
 */
export function notHandled(
  cause: PolyVeilError,
  preprocessing: Preprocessing | null,
  images: number,
): PolyVeilError {
  const pictures = images > 1 ? 'one of these pictures' : 'this picture'
  const expected = preprocessing ? `. ${expectedPictures(preprocessing)}` : ''
  return cause.restated(
    `The network does not handle ${pictures}, or the server computed something else: no label can be trusted. ` +
      `${cause.message}${expected}`,
  )
}
