import type { Graph } from '../../graph/graph.ts'

/** Honest logits of any network are below 2^LOGIT_BITS in absolute value. */
export const LOGIT_BITS = 7

/** Assumed deviation of the logits. In trained networks it is 1.5 to 2.5. */
const USUAL_DEVIATION = 1.5

/**
 * The deviation of an image's logits, which precision is relative to: the measured one, or `USUAL_DEVIATION`.
 * The measured deviation of a single logit is 0, and is not used.
 */
export const logitDeviation = ({ nodes, output }: Graph): number => nodes[output].rms || USUAL_DEVIATION

/** Whether sensitivities and the logits' deviation were measured on images. */
export const isMeasured = ({ nodes, output }: Graph): boolean => nodes[output].rms !== undefined

/** Precision in bits: log2 of the logits' deviation over the error. */
export const precisionOf = (error: number, deviation: number): number => Math.log2(deviation / error)

/**
 * Largest assumed ratio of one image's error to the root mean square over the images that were measured.
 * Among eight images of a trained network the most sensitive had 1.4 times the root mean square of all, among
 * four of a random network 1.8 times. Among 30 photographs that a plan had not seen, one had an error of 2.1
 * times the error on the four that were measured.
 */
const IMAGES_DIFFER = 2.5

/**
 * Upper bound over images of the deviation of a logit's error.
 *
 * @param noise deviation by the noise model
 * @param flooding deviation of the flooding noise in a logit
 */
export const logitError = (noise: number, flooding: number): number =>
  Math.hypot(noise * IMAGES_DIFFER, flooding)

/** The error of a logit at a precision. */
const errorAt = (precisionBits: number, deviation: number): number => deviation * 2 ** -precisionBits

/** Share of the answer's allowed error that the flooding noise takes. */
const FLOODING_SHARE = 1 / 2

/**
 * The largest error that a precision allows. It reveals the logits' deviation only up to a power of two.
 */
export const roundedError = (precisionBits: number, deviation: number): number =>
  errorAt(precisionBits, 2 ** Math.floor(Math.log2(deviation)))

/** Deviation of the flooding noise in a logit, which the manifest states. */
export const floodingError = (precisionBits: number, deviation: number): number =>
  roundedError(precisionBits, deviation) * FLOODING_SHARE

/**
 * The allowed error of a logit, rounded to a power of two. The manifest states it, and it reveals no more of
 * the logits' deviation than the flooding noise does.
 */
export const statedPrecision = (precisionBits: number, deviation: number): number =>
  2 ** (Math.floor(Math.log2(deviation)) + Math.ceil(-precisionBits))
