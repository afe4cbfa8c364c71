import type { PolyVeilError } from '../../errors/index.ts'
import type { PreprocessedImage, Preprocessing } from '../../preprocessing/index.ts'

/**
 * Mean brightness below which pictures are called dark, and above which light; photographs have 0.4 to 0.5.
 */
const DARK = 0.35
const LIGHT = 0.65

const average = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length

/**
 * The mean brightness of a preprocessed picture, 0 for black to 1 for white: to be compared with that of the
 * pictures that a network was trained on, which its preprocessing subtracts.
 */
export function brightness(
  { shape: [channels], tensor }: PreprocessedImage,
  { mean, std }: Preprocessing,
): number {
  const area = tensor.length / channels
  const means = mean.map((m, c) => m + std[c] * average(tensor.subarray(c * area, (c + 1) * area)))
  return average(means)
}

/** What pictures a network expects, by its preprocessing, and what to do with one of the other kind. */
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
 * The error of a decrypted answer that is no honest result, with what a user can look for in the picture: a
 * network without saturation diverges on pictures of another kind than it was trained on.
 *
 * @param cause what is wrong with the answer
 * @param preprocessing null where the network takes tensors alone: nothing is known of its pictures
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
