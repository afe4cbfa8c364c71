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

/**
 * Deviation of the noise that a logit has at least, whatever the circuit: that of the encryption of zero
 * which every answer gets, whose two polynomials are rounded to integers. Errors of deviation d on 2P
 * coefficients give d * sqrt(P).
 */
export function leastNoise(
  shape: AnswerShape & { readonly output: Pick<Circuit['output'], 'scale'> },
): number {
  const coefficient = Math.sqrt((1 + (2 / 3) * shape.parameters.ring) / 12)
  return (coefficient * Math.sqrt(answerPeriod(shape))) / shape.output.scale
}
