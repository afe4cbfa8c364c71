import type { Op } from '../../circuit/types.ts'
import {
  encodingNoise,
  keySwitchingNoise,
  roundingNoise,
  symmetricEncryptionNoise,
} from '../../he-ops/noise.ts'
import type { ConstantStatistics } from './statistics.ts'

/** What the model needs of parameters; a draft of them will do. */
export type NoiseParameters = Parameters<typeof keySwitchingNoise>[0]

/**
 * Standard deviation of every value's error, in message units, when messages have a root mean square near 1. Errors of
 * different summands count as independent.
 *
 * @returns one deviation for each operation
 */
export function circuitNoise(
  ops: readonly Op[],
  constants: readonly ConstantStatistics[],
  parameters: NoiseParameters,
): Float64Array {
  const noise = new Float64Array(ops.length)
  ops.forEach((op, id) => {
    noise[id] = noiseOf(op, noise, constants, parameters)
  })
  return noise
}

function noiseOf(
  op: Op,
  noise: Float64Array,
  constants: readonly ConstantStatistics[],
  parameters: NoiseParameters,
): number {
  switch (op.kind) {
    case 'input':
      return Math.hypot(symmetricEncryptionNoise(parameters), encodingNoise(parameters.ring / 2)) / op.scale
    case 'rotate':
    case 'relinearise':
      return Math.hypot(noise[op.source], keySwitchingNoise(parameters, op.level) / op.scale)
    case 'rescale':
      return Math.hypot(noise[op.source], roundingNoise(parameters) / op.scale)
    case 'addPlain':
      return Math.hypot(noise[op.source], encodingNoise(constants[op.constant].period) / op.scale)
    case 'add':
    case 'subtract':
    case 'multiply':
      return Math.hypot(noise[op.left], noise[op.right])
    case 'dropLevel':
      return noise[op.source]
    case 'dot': {
      let variance = 0
      for (const { value, constant } of op.terms) {
        const { period, gain } = constants[constant]
        variance += (noise[value] * gain) ** 2 + (encodingNoise(period) / op.constantScale) ** 2
      }
      return Math.sqrt(variance)
    }
  }
}
