import type { Circuit } from './types.ts'

// An answer repeats after `period` slots of each image, which is after P = period * batch slots of the
// ciphertext. A vector of period P encodes to a polynomial in X^(N / 2P): its logits are in every (N / 2P)-th
// coefficient, and nothing of them is in any other.

/** The coefficients of an answer that carry logits: 0, `stride`, 2 * `stride`, and so on, `count` of N. */
export interface LogitCoefficients {
  readonly stride: number
  readonly count: number
}

/** What the coefficients depend on; circuits and manifests have it. */
export interface AnswerShape extends Pick<Circuit, 'batch'> {
  readonly output: Pick<Circuit['output'], 'period'>
  readonly parameters: Pick<Circuit['parameters'], 'ring'>
}

/** Slots of the whole ciphertext after which an answer repeats. */
export const answerPeriod = ({ batch, output }: AnswerShape): number => output.period * batch

/** Where an answer's logits are among its coefficients. */
export function logitCoefficients(shape: AnswerShape): LogitCoefficients {
  const count = 2 * answerPeriod(shape)
  return { stride: shape.parameters.ring / count, count }
}
