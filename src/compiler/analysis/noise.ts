import type { Op, Term, ValueId } from '../../circuit/types.ts'
import {
  encodingNoise,
  keySwitchingNoise,
  raisingNoise,
  refreshNoise,
  roundingNoise,
  symmetricEncryptionNoise,
} from '../../he-ops/noise.ts'
import { type Node, sensitivityOf } from '../graph/graph.ts'
import type { ConstantStatistics } from '../graph/statistics.ts'

// To first order, the error of the logits is a sum over all tensors. Each summand is the error that enters
// the tensor while it is computed, propagated through the rest of the network. This file computes the errors
// that enter from the operations. The sensitivity of the tensor (`sensitivity.ts`) has the propagation. The
// only assumption is that the errors of different tensors are independent.

/** The parameters that the noise model reads. */
export type NoiseParameters = Parameters<typeof keySwitchingNoise>[0]

/** Operations with the noise sources that they belong to. */
export interface NoisyBody {
  readonly ops: readonly Op[]
  /** Multiplicity of each operation. */
  readonly counts: readonly number[]
  /** Index of each operation's noise source. */
  readonly noiseSourceOf: readonly number[]
  /** The node whose tensor each noise source computes. */
  readonly noiseSources: readonly Node[]
  /** For each noise source the variance that is known to enter there; undefined where operations decide. */
  readonly entering: readonly (number | undefined)[]
  readonly statistics: readonly ConstantStatistics[]
  readonly result: ValueId
}

/** Errors that enter a tensor in one noise source. */
export interface SourceNoise {
  /** Deviation of the error in each element, in message units, without the rounding of weights. */
  readonly tensor: number
  /**
   * Deviation of the rounding error of each weight, with a share of the rounded zeros between the weights; 0
   * where there are no weights.
   */
  readonly weights: number
  /** Whether the weights are full-size plaintexts, with an independent error at every position. */
  readonly isScattered: boolean
  /** Deviation of a logit's error from both. */
  readonly logit: number
}

/**
 * Variance of all rounded weights relative to the nonzero ones. Zeros are rounded too. The 2p - 1 rotations
 * that mix p interleaved channels have p weights each, and nearly half of these are zeros that would read a
 * neighbouring position.
 */
const ROUNDED_ZEROS = 2

/** Deviation of a logit's error. */
export const logitNoise = (body: NoisyBody, parameters: NoiseParameters): number =>
  Math.hypot(...sourceNoises(body, parameters).map(({ logit }) => logit))

/** Errors that enter at each noise source. */
export function sourceNoises(body: NoisyBody, parameters: NoiseParameters): SourceNoise[] {
  const shared = sharedRotations(body)
  const byOperations = overExits(body, shared, incomingVariance(body, shared, parameters))
  const tensors = byOperations.map((variance, source) => body.entering[source] ?? variance)
  const weights = roundingOfWeights(body, parameters)
  return body.noiseSources.map((node, source) => {
    const { tensor, weights: coherent, scattered } = sensitivityOf(node)
    const { variance, isScattered } = weights[source]
    return {
      tensor: Math.sqrt(tensors[source]),
      weights: Math.sqrt(variance),
      isScattered,
      logit: Math.sqrt(tensors[source] * tensor ** 2 + variance * (isScattered ? scattered : coherent) ** 2),
    }
  })
}

/**
 * Marks rotations, conjugations and products with i of values of another noise source. All noise sources that
 * read the value can share such an operation. Its error enters the tensors of all of them, and counts for
 * each.
 */
function sharedRotations({ ops, noiseSourceOf }: NoisyBody): Uint8Array {
  const isShared = new Uint8Array(ops.length)
  ops.forEach((op, id) => {
    const canBeShared = op.kind === 'rotate' || op.kind === 'conjugate' || op.kind === 'timesI'
    if (canBeShared && (isShared[op.source] === 1 || noiseSourceOf[op.source] !== noiseSourceOf[id]))
      isShared[id] = 1
  })
  return isShared
}

/** For each operation, the variance of the errors that entered since the start of its noise source. */
function incomingVariance(
  { ops, noiseSourceOf, statistics }: NoisyBody,
  isShared: Uint8Array,
  parameters: NoiseParameters,
): Float64Array {
  const variances = new Float64Array(ops.length)
  const ofSwitching = memoised((level: number) => keySwitchingNoise(parameters, level))
  // Replicated dots of a draft share their list of terms.
  const sameDot = new Map<readonly Term[], ValueId>()
  ops.forEach((op, id) => {
    const same = op.kind === 'dot' ? sameDot.get(op.terms) : undefined
    if (same !== undefined && noiseSourceOf[same] === noiseSourceOf[id]) {
      variances[id] = variances[same]
      return
    }
    const before = (operand: ValueId): number =>
      noiseSourceOf[operand] === noiseSourceOf[id] || isShared[operand] === 1 ? variances[operand] : 0
    const levelOf = (operand: ValueId): number => ops[operand].level
    variances[id] = varianceOf(op, before, levelOf, statistics, parameters, ofSwitching)
    if (op.kind === 'dot') sameDot.set(op.terms, id)
  })
  return variances
}

/** Memoises a function of a level. */
function memoised(of: (level: number) => number): (level: number) => number {
  const known: number[] = []
  return (level) => {
    known[level] ??= of(level)
    return known[level]
  }
}

function varianceOf(
  op: Op,
  before: (operand: ValueId) => number,
  levelOf: (operand: ValueId) => number,
  constants: readonly ConstantStatistics[],
  parameters: NoiseParameters,
  ofSwitching: (level: number) => number,
): number {
  switch (op.kind) {
    case 'input':
      return (
        (symmetricEncryptionNoise(parameters) ** 2 + encodingNoise(parameters.ring / 2) ** 2) / op.scale ** 2
      )
    case 'rotate':
    case 'conjugate':
    case 'relinearise':
      return before(op.source) + (ofSwitching(op.level) / op.scale) ** 2
    case 'raise':
      return before(op.source) + (raisingNoise(parameters, levelOf(op.source)) / op.scale) ** 2
    case 'rescale':
      return before(op.source) + (roundingNoise(parameters) / op.scale) ** 2
    case 'addPlain': {
      const { rounding, period } = constants[op.constant]
      return before(op.source) + rounding * (encodingNoise(period) / op.scale) ** 2
    }
    case 'add':
    case 'subtract':
    case 'multiply':
      return before(op.left) + before(op.right)
    case 'refresh':
      return before(op.source) + (refreshNoise(parameters) / op.scale) ** 2
    case 'dropLevel':
    case 'timesI':
      return before(op.source)
    case 'dot':
      return sumOverTerms(op.terms, ({ value, constant }) => before(value) * constants[constant].gain ** 2)
  }
}

function sumOverTerms(terms: readonly Term[], variance: (term: Term) => number): number {
  let sum = 0
  // A draft repeats one term object for equal terms.
  let last: Term | undefined
  let own = 0
  for (const term of terms) {
    if (term !== last) own = variance(term)
    last = term
    sum += own
  }
  return sum
}

/**
 * For each noise source, the mean variance of its values that other noise sources read, and of the result.
 */
function overExits(
  { ops, counts, noiseSourceOf, noiseSources, result }: NoisyBody,
  isShared: Uint8Array,
  variances: Float64Array,
): Float64Array {
  const isRead = new Uint8Array(ops.length)
  const read = (reader: ValueId, operand: ValueId): void => {
    if (noiseSourceOf[operand] !== noiseSourceOf[reader] && isShared[operand] === 0) isRead[operand] = 1
  }
  ops.forEach((op, id) => {
    eachOperand(op, (operand) => read(id, operand))
  })
  isRead[result] = 1
  const sums = new Float64Array(noiseSources.length)
  const exits = new Float64Array(noiseSources.length)
  ops.forEach((_, id) => {
    if (isRead[id] === 0) return
    sums[noiseSourceOf[id]] += variances[id] * counts[id]
    exits[noiseSourceOf[id]] += counts[id]
  })
  return sums.map((sum, source) => (exits[source] === 0 ? 0 : sum / exits[source]))
}

/** Visits the operands of an operation. Unlike `operandsOf`, it allocates no list. */
function eachOperand(op: Op, visit: (operand: ValueId) => void): void {
  if (op.kind === 'dot') {
    let last: Term | undefined
    for (const term of op.terms) {
      if (term !== last) visit(term.value)
      last = term
    }
  } else if ('left' in op) {
    visit(op.left)
    visit(op.right)
  } else if ('source' in op) visit(op.source)
}

interface WeightRounding {
  readonly variance: number
  readonly isScattered: boolean
}

/** The rounding error of each noise source's weights: the largest error of all its dots. */
function roundingOfWeights(
  { ops, noiseSourceOf, noiseSources, statistics }: NoisyBody,
  { ring }: NoiseParameters,
): WeightRounding[] {
  const found: WeightRounding[] = noiseSources.map(() => ({ variance: 0, isScattered: false }))
  ops.forEach((op, id) => {
    if (op.kind !== 'dot') return
    const { period, rounding, exact } = statistics[op.terms[0].constant]
    if (exact) return
    // The sensitivity to masks includes their zeros.
    const zeros = noiseSources[noiseSourceOf[id]].kind === 'repack' ? 1 : ROUNDED_ZEROS
    const variance = zeros * rounding * (encodingNoise(period) / op.constantScale) ** 2
    if (variance > found[noiseSourceOf[id]].variance)
      found[noiseSourceOf[id]] = { variance, isScattered: period === ring / 2 }
  })
  return found
}
