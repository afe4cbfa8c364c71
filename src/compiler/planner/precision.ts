/** Honest logits are below 2^LOGIT_BITS in absolute value, whatever the network. */
export const LOGIT_BITS = 7

/** Root mean square that logits of trained networks have, which precision is stated against. */
const LOGIT_RMS = 1.5

/** Bits by which an error lies below the logits' root mean square. */
export const precisionOf = (deviation: number): number => Math.log2(LOGIT_RMS / deviation)

/**
 * How much larger the noise of deep circuits is taken to be than the noise model says: it takes the errors of successive
 * layers for independent, which they are the less the more layers there are. Fitted to few images of networks of 3 to 73
 * products, and no bound: one image of 21 was off by several times the deviation that this states.
 */
const DEPENDENCE = 2

/**
 * Deviation of a logit's error.
 *
 * @param noise by the noise model
 * @param flooding after averaging the copies of a logit
 * @param isRefreshed whether the circuit is deeper than one shot
 */
export const logitError = (noise: number, flooding: number, isRefreshed: boolean): number =>
  Math.hypot(isRefreshed ? noise * DEPENDENCE : noise, flooding)

/** The error that a precision allows. */
export const errorAt = (precisionBits: number): number => LOGIT_RMS * 2 ** -precisionBits

/** The share of the answer's error that the server may spend on drowning noise, after averaging the copies of a logit. */
const FLOODING_SHARE = 1 / 2

/** Deviation of the flooding noise in the mean of a logit's copies. */
export const floodingError = (precisionBits: number): number => errorAt(precisionBits) * FLOODING_SHARE
