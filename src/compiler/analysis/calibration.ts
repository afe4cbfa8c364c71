import { PolyVeilError } from '../../errors/index.ts'
import type { Preprocessing } from '../../preprocessing/types.ts'
import { geometricMean } from '../graph/statistics.ts'

/**
 * Least correlation of horizontal neighbours. Pictures have more than 0.8, also at 28 x 28; white noise has
 * 0.
 */
const LEAST_CORRELATION = 0.3
/** Bound of the images' mean. Normalised pictures have mean 0 as a whole; few images may deviate more. */
const meanLimit = (images: number): number => 1 + 2 / Math.sqrt(images)
/** Limits of the images' deviation. Normalised pictures have deviation 1 as a whole. */
const DEVIATION_LIMITS = [0.2, 2] as const
/** Least number of images whose deviation is checked against the lower limit. */
const ENOUGH_IMAGES = 4
/** Share of values that may lie outside the range of the preprocessing, because of rounding. */
const FREE_OUTSIDE = 1e-3
/**
 * Limits of the ratio of poly-BN tensors to their size in training. On real test images the ratio is 0.6 to
 * 1.1, and about a third on single images of deep networks.
 */
const AGREEMENT_LIMITS = [0.4, 2.5] as const
/** Ratio of poly-BN tensors to their size in training at which a polynomial network has diverged. */
const DIVERGENT = 16
const REMEDY = "Calibrate on images of the network's own kind, prepared as its training prepared them."
/** Relative rounding error of float32 values. */
const SLACK = 1e-5

/** Preprocessing and limits that the images are checked against. */
export interface CalibrationInput {
  /** Null where the preprocessing is not known. */
  readonly preprocessing: Preprocessing | null
  /** Height and width of the images. */
  readonly height: number
  readonly width: number
  /** Largest absolute value that the circuit supports. */
  readonly bound: number
}

/** Statistics of all images together. */
interface ImageStatistics {
  readonly least: number
  readonly most: number
  readonly mean: number
  readonly deviation: number
  /** Correlation of horizontal neighbours; 1 where all values are equal. */
  readonly correlation: number
}

/**
 * Compares calibration images with images that the preprocessing would yield.
 *
 * @param images [C, H, W] each, at least one
 * @returns a warning for each difference
 * @throws CONFIG_INVALID when a value is beyond the bound of the circuit's input, or is NaN
 */
export function imageWarnings(images: readonly Float64Array[], input: CalibrationInput): string[] {
  const { preprocessing, bound } = input
  const seen = statisticsOf(images, input.width)
  if (!(Math.max(-seen.least, seen.most) <= bound)) throw beyondBound(seen, input)
  const warnings: string[] = []
  if (preprocessing !== null) warnings.push(...againstPreprocessing(images, seen, preprocessing, input))
  if (seen.correlation < LEAST_CORRELATION) {
    warnings.push(
      `the images look like white noise: neighbouring pixels have a correlation of ${seen.correlation.toFixed(2)}, pictures one ` +
        "above 0.8; what is measured on them says little of the network's own images",
    )
  }
  return warnings
}

function againstPreprocessing(
  images: readonly Float64Array[],
  seen: ImageStatistics,
  preprocessing: Preprocessing,
  { height, width }: CalibrationInput,
): string[] {
  const { least, most, mean, deviation } = seen
  const [low, high] = yields(preprocessing)
  const normal = `normalised images (${inWords(preprocessing)})`
  if (least >= -SLACK && most <= 1 + SLACK && low < -0.1 && most - least > SLACK) {
    return [`the images lie in [0, 1], so they look as if they were never normalised; ${normal} are needed`]
  }
  const warnings: string[] = []
  if (fractionOutside(images, low, high) > FREE_OUTSIDE) {
    warnings.push(
      `the images' values reach from ${text(least)} to ${text(most)}, beyond what ${normal} can have`,
    )
  }
  const isFlat = images.length >= ENOUGH_IMAGES && deviation < DEVIATION_LIMITS[0]
  if (Math.abs(mean) > meanLimit(images.length) || isFlat || deviation > DEVIATION_LIMITS[1]) {
    warnings.push(
      `the images have mean ${text(mean)} and deviation ${text(deviation)} where ${normal} have about 0 and 1`,
    )
  }
  if (preprocessing.channels === 'grey' && images.some((image) => !isGrey(image, height * width))) {
    warnings.push(
      "the images' channels differ, but the preprocessing makes grey images: the first channel is taken",
    )
  }
  return warnings
}

/**
 * Compares the network's poly-BN tensors on each image with their running statistics.
 *
 * @param agreements of the images, from `measureRanges`
 * @returns a warning when the tensors are much larger or smaller than in training
 * @throws CONFIG_INVALID with the indices of the images on which the network diverges
 */
export function agreementWarnings(agreements: readonly number[]): string[] {
  const divergent = agreements.flatMap((ratio, k) => (ratio <= DIVERGENT ? [] : [k]))
  if (divergent.length > 0) {
    const [first] = divergent
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `The network diverges on ${divergent.length} of ${agreements.length} calibration images, the first being number ${first}: ` +
        `its poly-BN tensors are ${text(agreements[first])} times as large as in training`,
      { images: divergent.slice(0, 100) },
      { remedy: REMEDY },
    )
  }
  const ratio = geometricMean(agreements)
  if (ratio >= AGREEMENT_LIMITS[0] && ratio <= AGREEMENT_LIMITS[1]) return []
  return [
    `the network's poly-BN tensors are ${text(ratio)} times as large as their running statistics say they were in training: the ` +
      'images are of another kind, or were prepared in another way',
  ]
}

function beyondBound(
  { least, most }: ImageStatistics,
  { preprocessing, bound }: CalibrationInput,
): PolyVeilError {
  const needed =
    preprocessing === null ? 'normalised images' : `normalised images (${inWords(preprocessing)})`
  const values = `The calibration images have values from ${text(least)} to ${text(most)}`
  const reason = Number.isNaN(least + most)
    ? 'The calibration images have values that are no numbers'
    : least >= 0 && most <= 255
      ? `${values}: they look as if they were never normalised`
      : `${values}, but the circuit takes up to ${text(bound)}`
  return new PolyVeilError(
    'CONFIG_INVALID',
    `${reason}; ${needed} are needed`,
    { least, most, bound },
    { remedy: REMEDY },
  )
}

/** Smallest and largest value that the preprocessing can yield. */
function yields({ mean, std }: Preprocessing): [low: number, high: number] {
  return [Math.min(...mean.map((m, c) => -m / std[c])), Math.max(...mean.map((m, c) => (1 - m) / std[c]))]
}

function inWords(preprocessing: Preprocessing): string {
  const { mean, std } = preprocessing
  const [low, high] = yields(preprocessing)
  const list = (values: readonly number[]): string => values.map(text).join(' ')
  return `(pixel / 255 - ${list(mean)}) / ${list(std)}, from ${text(low)} to ${text(high)}`
}

function statisticsOf(images: readonly Float64Array[], width: number): ImageStatistics {
  let [least, most, sum, count] = [Infinity, -Infinity, 0, 0]
  for (const image of images) {
    for (const value of image) {
      // Math.min and Math.max return NaN once a value is NaN.
      least = Math.min(least, value)
      most = Math.max(most, value)
      sum += value
    }
    count += image.length
  }
  const mean = sum / count
  const deviation = Math.sqrt(
    images.reduce((squares, image) => squares + squaresAround(image, mean), 0) / count,
  )
  return { least, most, mean, deviation, correlation: neighbours(images, width) }
}

const squaresAround = (image: Float64Array, mean: number): number =>
  image.reduce((sum, value) => sum + (value - mean) ** 2, 0)

/** Correlation of horizontal neighbours; each image is taken relative to its own mean. */
function neighbours(images: readonly Float64Array[], width: number): number {
  let [products, squares] = [0, 0]
  for (const image of images) {
    const mean = image.reduce((sum, value) => sum + value, 0) / image.length
    for (let i = 1; i < image.length; i++) {
      if (i % width === 0) continue
      products += (image[i] - mean) * (image[i - 1] - mean)
      squares += ((image[i] - mean) ** 2 + (image[i - 1] - mean) ** 2) / 2
    }
  }
  return squares > 0 ? products / squares : 1
}

function fractionOutside(images: readonly Float64Array[], low: number, high: number): number {
  const room = 0.01 * (high - low)
  let [outside, count] = [0, 0]
  for (const image of images) {
    for (const value of image) if (value < low - room || value > high + room) outside++
    count += image.length
  }
  return outside / count
}

/** Whether all channels of an image [C, H, W] are equal. */
const isGrey = (image: Float64Array, area: number): boolean =>
  image.every((value, i) => Math.abs(value - image[i % area]) <= SLACK * (1 + Math.abs(value)))

const text = (value: number): string => String(Number(value.toPrecision(3)))
