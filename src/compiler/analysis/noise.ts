import type { Op, Term, ValueId } from '../../circuit/types.ts'
import {
  encodingNoise,
  keySwitchingNoise,
  refreshNoise,
  roundingNoise,
  symmetricEncryptionNoise,
} from '../../he-ops/noise.ts'
import type { ConstantStatistics } from './statistics.ts'

/** What the model needs of parameters; a draft of them will do. */
export type NoiseParameters = Parameters<typeof keySwitchingNoise>[0]

/**
 * Share of a tensor's root mean square that is its mean over positions: what a weight's rounding error is multiplied by
 * to become the same error everywhere. Between 0.2 and 0.6 in trained networks.
 */
const MEAN_SHARE = 0.35

/**
 * Standard deviation of every value's error, in message units, when messages have a root mean square near 1. Errors of
 * different summands count as independent, except that the rounding of a periodic weight is the same error at every
 * position: pooling does not average it out.
 *
 * @returns one deviation for each operation
 */
export function circuitNoise(
  ops: readonly Op[],
  constants: readonly ConstantStatistics[],
  parameters: NoiseParameters,
): Float64Array {
  const scattered = new Float64Array(ops.length)
  const coherent = new Float64Array(ops.length)
  const ofSwitching = remembered((level: number) => keySwitchingNoise(parameters, level))
  // Equal dots of a draft share their terms.
  const sameDot = new Map<readonly Term[], ValueId>()
  ops.forEach((op, id) => {
    const same = op.kind === 'dot' ? sameDot.get(op.terms) : undefined
    if (same !== undefined) {
      scattered[id] = scattered[same]
      coherent[id] = coherent[same]
      return
    }
    scattered[id] = scatteredNoise(op, scattered, constants, parameters, ofSwitching)
    coherent[id] = coherentNoise(op, coherent, constants, parameters, ops)
    if (op.kind === 'dot') sameDot.set(op.terms, id)
  })
  return scattered.map((noise, id) => Math.hypot(noise, coherent[id]))
}

/** A function that works out each result once. */
function remembered(of: (level: number) => number): (level: number) => number {
  const known: number[] = []
  return (level) => {
    known[level] ??= of(level)
    return known[level]
  }
}

/** Errors that differ from slot to slot. */
function scatteredNoise(
  op: Op,
  noise: Float64Array,
  constants: readonly ConstantStatistics[],
  parameters: NoiseParameters,
  ofSwitching: (level: number) => number,
): number {
  switch (op.kind) {
    case 'input':
      return Math.hypot(symmetricEncryptionNoise(parameters), encodingNoise(parameters.ring / 2)) / op.scale
    case 'rotate':
    case 'relinearise':
      return Math.hypot(noise[op.source], ofSwitching(op.level) / op.scale)
    case 'rescale':
      return Math.hypot(noise[op.source], roundingNoise(parameters) / op.scale)
    case 'addPlain':
      return Math.hypot(noise[op.source], encodingNoise(constants[op.constant].period) / op.scale)
    case 'add':
    case 'subtract':
    case 'multiply':
      return Math.hypot(noise[op.left], noise[op.right])
    case 'refresh':
      return Math.hypot(noise[op.source], refreshNoise(parameters) / op.scale)
    case 'dropLevel':
      return noise[op.source]
    case 'dot':
      return rootOfSum(op.terms, ({ value, constant }) => {
        const { period, gain, exact } = constants[constant]
        const rounding = exact ? 0 : encodingNoise(period) / op.constantScale
        return (noise[value] * gain) ** 2 + rounding ** 2
      })
  }
}

const isPeriodic = (period: number, { ring }: NoiseParameters): boolean => period < ring / 2

/** Errors of periodic weights, the same at every position. */
function coherentNoise(
  op: Op,
  noise: Float64Array,
  constants: readonly ConstantStatistics[],
  parameters: NoiseParameters,
  ops: readonly Op[],
): number {
  switch (op.kind) {
    case 'input':
      return 0
    case 'add': {
      const right = ops[op.right]
      const isDoubling = right.kind === 'rotate' && right.source === op.left
      return isDoubling ? noise[op.left] + noise[op.right] : Math.hypot(noise[op.left], noise[op.right])
    }
    case 'subtract':
    case 'multiply':
      return Math.hypot(noise[op.left], noise[op.right])
    case 'dot':
      return rootOfSum(op.terms, ({ value, constant }) => {
        const { period, gain, exact } = constants[constant]
        const rounding =
          !exact && isPeriodic(period, parameters) ? encodingNoise(period) / op.constantScale : 0
        return (noise[value] * gain) ** 2 + (rounding * MEAN_SHARE) ** 2
      })
    default:
      return noise[op.source]
  }
}

function rootOfSum(terms: readonly Term[], variance: (term: Term) => number): number {
  let sum = 0
  // Drafts repeat a term instead of making equal ones.
  let last: Term | undefined
  let own = 0
  for (const term of terms) {
    if (term !== last) own = variance(term)
    last = term
    sum += own
  }
  return Math.sqrt(sum)
}
