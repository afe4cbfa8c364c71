import type { Graph } from '../../graph/graph.ts'

/** Honest logits are below 2^LOGIT_BITS in absolute value, whatever the network. */
export const LOGIT_BITS = 7

/** Deviation that logits of trained networks have at least, about: 1.5 to 2.5. */
const USUAL_DEVIATION = 1.5

/**
 * What precision is stated against: the deviation of an image's logits, as it was measured, or else as it
 * usually is. A single logit has a deviation of 0, which says nothing of its size.
 */
export const logitDeviation = ({ nodes, output }: Graph): number => nodes[output].rms || USUAL_DEVIATION

/** Whether images said what errors do to the logits, and what their deviation is. */
export const isMeasured = ({ nodes, output }: Graph): boolean => nodes[output].rms !== undefined

/** Bits by which an error lies below the logits' deviation. */
export const precisionOf = (error: number, deviation: number): number => Math.log2(deviation / error)

/**
 * How much more errors may do to the logits of one image than to those of the images that it was measured on,
 * root mean square. Among eight images of a trained network the most sensitive had 1.4 times the root mean
 * square of all, among four of a random one 1.8 times; among 30 photographs that a plan had not seen, one was
 * off by 2.1 times what four others gave.
 */
const IMAGES_DIFFER = 2.5

/**
 * Deviation of a logit's error that no image exceeds.
 *
 * @param noise by the noise model
 * @param flooding of a logit
 */
export const logitError = (noise: number, flooding: number): number =>
  Math.hypot(noise * IMAGES_DIFFER, flooding)

/** The error that a precision allows. */
const errorAt = (precisionBits: number, deviation: number): number => deviation * 2 ** -precisionBits

/** The share of the answer's error that the server may spend on drowning noise. */
const FLOODING_SHARE = 1 / 2

/**
 * The error that a precision allows at most; it tells no more of the logits' deviation than its power of two.
 */
export const roundedError = (precisionBits: number, deviation: number): number =>
  errorAt(precisionBits, 2 ** Math.floor(Math.log2(deviation)))

/** Deviation of the flooding noise in a logit. It is in the manifest. */
export const floodingError = (precisionBits: number, deviation: number): number =>
  roundedError(precisionBits, deviation) * FLOODING_SHARE

/**
 * The precision that a plan states of the logits: the error it allows, as a power of two. As the flooding it
 * is in the manifest, and tells no more than that.
 */
export const statedPrecision = (precisionBits: number, deviation: number): number =>
  2 ** (Math.floor(Math.log2(deviation)) + Math.ceil(-precisionBits))
