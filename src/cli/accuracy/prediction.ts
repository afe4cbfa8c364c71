import { rank } from '../../client/index.ts'
import type { Logits } from './side.ts'

/** What a network says about one image of a known class. */
export interface Prediction {
  /** Index of the true class. */
  readonly truth: number
  /** Index of the best class; undefined when the image left the range, so that it has no answer. */
  readonly best: number | undefined
  /** Softmax probability of the best class, 0 to 1. */
  readonly score: number | undefined
  /** Place of the true class in the order of the classes, from 0 on; infinite without an answer. */
  readonly place: number
}

/** A prediction with the logits that it follows from. */
export interface Answer extends Prediction {
  readonly logits: Logits
}

/** @param logits one for each class; undefined when the image left the range */
export function answerOf(logits: Logits, truth: number): Answer {
  // A network of polynomials that diverges in the clear ends in infinite numbers or NaN.
  if (!logits?.every(Number.isFinite)) {
    return { truth, logits: undefined, best: undefined, score: undefined, place: Number.POSITIVE_INFINITY }
  }
  const order = rank(logits, [], logits.length)
  const [{ index: best, score }] = order
  return { truth, logits, best, score, place: order.findIndex(({ index }) => index === truth) }
}
