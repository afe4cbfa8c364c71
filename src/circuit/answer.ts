import type { Circuit } from './types.ts'

// An answer repeats after `period` slots of each image, which is after P = period * batch slots of the
// ciphertext. A vector of period P encodes to a polynomial in X^(N / 2P). So every (N / 2P)-th coefficient
// carries logits, and the other coefficients carry nothing.

/** The coefficients of an answer that carry logits: 0, `stride`, 2 * `stride`, and so on, `count` of N. */
export interface LogitCoefficients {
  readonly stride: number
  readonly count: number
}

/** The parts of circuits and manifests that the coefficients depend on. */
export interface AnswerShape extends Pick<Circuit, 'batch'> {
  readonly output: Pick<Circuit['output'], 'period'>
  readonly parameters: Pick<Circuit['parameters'], 'ring'>
}

/** Slots of the whole ciphertext after which an answer repeats. */
export const answerPeriod = ({ batch, output }: AnswerShape): number => output.period * batch

/** The coefficients of an answer that carry its logits. */
export function logitCoefficients(shape: AnswerShape): LogitCoefficients {
  const count = 2 * answerPeriod(shape)
  return { stride: shape.parameters.ring / count, count }
}
