import type { Circuit, ComplexVector, OutputSpec } from '../../circuit/types.ts'
import { PolyVeilError, printable } from '../../errors/index.ts'

/**
 * Checks a decrypted answer and returns the logits of every image of its batch. An overflow in the encrypted
 * computation wraps around into noise. It fills slots that are empty in an honest answer, and exceeds the
 * bound. The imaginary part shows an overflow in the head's last additions only, which make it zero whatever
 * came before. Every coefficient that wraps mixes all images of the batch, so either all images are returned
 * or none, and the one that overflowed cannot be identified.
 *
 * The outcome must stay with the client: under CKKS, anything that depends on a decryption may reveal the
 * secret key (Li and Micciancio, ePrint 2020/1533).
 *
 * @param answer one period of the ciphertext: logit k of the image in place b in slot k * batch + b, nothing
 *   where k >= classes
 * @returns one row for each place of the batch
 * @throws TENSOR_OUT_OF_RANGE when a logit of any place exceeds the bound, an imaginary part is not zero, or
 *   a slot that must be empty is not
 */
export function readBatch(
  { real, imaginary }: ComplexVector,
  { output, batch }: Pick<Circuit, 'output' | 'batch'>,
): Float64Array[] {
  const { classes, bound, tolerance } = output
  const rows = Array.from({ length: batch }, () => new Float64Array(classes))
  real.forEach((value, slot) => {
    const k = Math.floor(slot / batch)
    const isLogit = k < classes
    // NaN fails both comparisons.
    const isHonest = Math.abs(value) < (isLogit ? bound : tolerance) && Math.abs(imaginary[slot]) < tolerance
    if (!isHonest) throw outOfRange(isLogit, batch)
    if (isLogit) rows[slot % batch][k] = value
  })
  return rows
}

function outOfRange(logit: boolean, batch: number): PolyVeilError {
  const what = logit ? 'a logit is out of bounds or not real' : 'slots that must be empty are not'
  const whole = batch > 1 ? `. One image that overflows spoils all ${batch} of its batch` : ''
  return new PolyVeilError(
    'TENSOR_OUT_OF_RANGE',
    `The decrypted answer is no honest result: ${what}${whole}`,
    batch > 1 ? { batch } : {},
  )
}

/**
 * Rounds logits to the precision of the plan. Unrounded logits carry the noise of the decryption, and enough
 * of them may reveal the secret key (Li and Micciancio, ePrint 2020/1533).
 *
 * @returns multiples of `precision`
 */
export const roundLogits = (
  logits: Float64Array,
  { precision }: Pick<OutputSpec, 'precision'>,
): Float64Array =>
  // Adding zero turns -0 into 0.
  logits.map((logit) => Math.round(logit / precision) * precision + 0)

/** One class of an answer. */
export interface Classification {
  /** The class's name without control characters, or its index when the model has no labels. */
  readonly label: string
  /** Softmax probability of the logits as they were given, 0 to 1. */
  readonly score: number
  readonly logit: number
  readonly index: number
}

/** The `topK` best classes, best first. */
export function rank(logits: Float64Array, labels: readonly string[], topK: number): Classification[] {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const weights = Array.from(logits, (logit) => Math.exp(logit - most))
  const total = weights.reduce((a, b) => a + b, 0)
  return Array.from(logits, (logit, index) => ({
    label: printable(labels[index] ?? String(index)),
    score: weights[index] / total,
    logit,
    index,
  }))
    .sort((a, b) => b.logit - a.logit)
    .slice(0, topK)
}
