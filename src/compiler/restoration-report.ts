import { log2Modulus } from '../circuit/laws.ts'
import { raiseFailure, slotsOfStages } from '../circuit/raise.ts'
import type { Circuit } from '../circuit/types.ts'
import { counted } from '../text/counted.ts'
import { lowPrimes } from './lowering/restoration/shape.ts'

/** Figures of a circuit whose server restores levels. */
export interface RestorationReport {
  /** Number of ciphertexts that are restored. */
  readonly ciphertexts: number
  /** Number of layers whose ciphertexts are restored. */
  readonly places: number
  /** log2 of the modulus of the raise level. */
  readonly raiseBits: number
  /** Raised coefficients are taken up to so many times the modulus of the raise level. */
  readonly bound: number
  /** log2 of the chance that a raised coefficient of an inference is beyond the bound, at most. */
  readonly failureBits: number
  /** Absent where the circuit does not state the stages of its transforms. */
  readonly shape?: {
    /** Levels of the network between two restorations. */
    readonly levels: number
    /** Stages of each group of the transform between slots and coefficients. */
    readonly stages: readonly number[]
    /** Copies of the image in its slots. */
    readonly copies: number
  }
}

/** The figures of a circuit's restorations; undefined where its server restores no levels. */
export function restorationReport(circuit: Circuit): RestorationReport | undefined {
  const { parameters, ops, raise } = circuit
  const { raiseLevel } = parameters
  if (raise === undefined || raiseLevel === undefined) return undefined
  const raised = ops.filter(({ kind }) => kind === 'raise')
  const shape = shapeOf(circuit)
  return {
    ciphertexts: raised.length,
    places: new Set(raised.map(({ layer }) => layer)).size,
    raiseBits: log2Modulus(parameters, raiseLevel),
    bound: raise.bound,
    failureBits: raiseFailure(circuit),
    ...(shape && { shape }),
  }
}

function shapeOf({ raise, parameters, input }: Circuit): RestorationReport['shape'] {
  const { raiseLevel = 0, slots } = parameters
  if (raise?.stages === undefined) return undefined
  const { stages } = raise
  const copies = slots / slotsOfStages(stages)
  return { levels: input.level - raiseLevel - lowPrimes(stages.length), stages, copies }
}

/** A circuit's restorations in words. */
export function restorationInWords(report: RestorationReport | undefined): string[] {
  if (report === undefined) return []
  const { ciphertexts, places, raiseBits, bound, failureBits, shape } = report
  const levels = shape ? `, with ${counted(shape.levels, 'level')} between two restorations` : ''
  const groups = shape
    ? `; the transforms between slots and coefficients have groups of ${shape.stages.join(' + ')} stages`
    : ''
  const copies =
    shape && shape.copies > 1
      ? [
          `${shape.copies} copies of the image fill the slots, so that a restoration takes fewer stages and one sine instead of two`,
        ]
      : []
  return [
    `the server restores the levels of ${counted(ciphertexts, 'ciphertext')} in ${counted(places, 'place')}${levels}: ` +
      'the client sends one message and gets one back',
    `a restoration raises values modulo ${raiseBits.toFixed(0)} bits to all primes${groups}`,
    ...copies,
    `raised coefficients are taken up to ${bound} times the modulus that they are raised from; a whole inference comes back wrong ` +
      `because of a larger one with a chance below 2^${Math.ceil(failureBits)}`,
  ]
}
