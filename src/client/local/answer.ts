import { slotsOfImage } from '../../circuit/image-batch.ts'
import type { Circuit, OutputSpec } from '../../circuit/types.ts'
import { PolyVeilError, printable } from '../../errors/index.ts'

/**
 * Reads the logits from a decrypted answer, and makes sure that it is one. Inside the encrypted computation an overflow
 * wraps around into noise; that noise is astronomically large, differs from slot to slot, and fills slots that an honest
 * answer leaves empty.
 *
 * The outcome must stay with the client: under CKKS, what depends on a decryption may reveal the secret key
 * (Li and Micciancio, ePrint 2020/1533).
 *
 * @param slots all slots of an image: logit k in every slot s with s mod period = k, nothing where k >= classes
 * @returns the mean of the copies of each logit
 * @throws TENSOR_OUT_OF_RANGE when a logit exceeds the bound, its copies differ, or an empty slot is not empty
 */
export const readLogits = (slots: Float64Array, spec: OutputSpec): Float64Array =>
  honestLogits(slots, spec, 1)

/**
 * The logits of every image of a batch, by `readLogits`. An overflow in one image wraps coefficients, in which all images
 * have a share: so either all of them are honest or none is returned, and which one overflowed cannot be told.
 *
 * @param slots of the whole ciphertext
 * @returns one row for each place of the batch
 * @throws TENSOR_OUT_OF_RANGE when the logits of any place are no honest result
 */
export const readBatch = (
  slots: Float64Array,
  { output, batch }: Pick<Circuit, 'output' | 'batch'>,
): Float64Array[] =>
  Array.from({ length: batch }, (_, place) => honestLogits(slotsOfImage(slots, batch, place), output, batch))

/** @param batch images that share the ciphertext */
function honestLogits(slots: Float64Array, spec: OutputSpec, batch: number): Float64Array {
  const { classes, period, bound, tolerance } = spec
  const logits = new Float64Array(classes)
  for (let k = 0; k < period; k++) {
    const { mean, spread, largest } = statistics(slots, k, period)
    // Written so that NaN fails each of them.
    const honest = k < classes ? largest < bound && spread < tolerance : largest < tolerance
    if (!honest) throw outOfRange(k < classes, batch)
    if (k < classes) logits[k] = mean
  }
  return logits
}

function statistics(slots: Float64Array, first: number, period: number) {
  let sum = 0
  let least = slots[first]
  let most = slots[first]
  for (let s = first; s < slots.length; s += period) {
    sum += slots[s]
    least = Math.min(least, slots[s])
    most = Math.max(most, slots[s])
  }
  return {
    mean: (sum * period) / slots.length,
    spread: most - least,
    largest: Math.max(Math.abs(least), Math.abs(most)),
  }
}

function outOfRange(logit: boolean, batch: number): PolyVeilError {
  const what = logit ? 'a logit is out of bounds or its copies differ' : 'slots that must be empty are not'
  const whole = batch > 1 ? `. One image that overflows spoils all ${batch} of its batch` : ''
  return new PolyVeilError(
    'TENSOR_OUT_OF_RANGE',
    `The decrypted answer is no honest result: ${what}${whole}`,
    batch > 1 ? { batch } : {},
  )
}

/**
 * Logits to the precision that the plan states. Full ones carry the noise of the decryption, from which who sees enough of them
 * may compute the secret key (Li and Micciancio, ePrint 2020/1533).
 *
 * @returns multiples of `precision`
 */
export const roundLogits = (
  logits: Float64Array,
  { precision }: Pick<OutputSpec, 'precision'>,
): Float64Array =>
  // Zero is added so that none is negative.
  logits.map((logit) => Math.round(logit / precision) * precision + 0)

/** One class of an answer. */
export interface Classification {
  /** The class's name without control characters, or its index where the model has no names. */
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
