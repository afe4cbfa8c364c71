import type { Op, Term, ValueId } from '../../circuit/types.ts'
import {
  encodingNoise,
  keySwitchingNoise,
  refreshNoise,
  roundingNoise,
  symmetricEncryptionNoise,
} from '../../he-ops/noise.ts'
import { type Node, sensitivityOf } from '../graph/graph.ts'
import type { ConstantStatistics } from '../graph/statistics.ts'

// The error of the logits is, to first order, the sum over all tensors of the error that comes into a tensor
// while it is computed, followed through the rest of the network. What comes in is known from the operations
// (this file); what follows is the tensor's sensitivity (`sensitivity.ts`). So nothing is assumed about how
// errors travel from layer to layer, but that those of different tensors are independent.

/** What the model needs of parameters; a draft of them will do. */
export type NoiseParameters = Parameters<typeof keySwitchingNoise>[0]

/** Operations with the tensors that they compute. */
export interface NoisyBody {
  readonly ops: readonly Op[]
  /** How many equal operations each one stands for. */
  readonly counts: readonly number[]
  /** The site of each operation. */
  readonly noiseSourceOf: readonly number[]
  /** The node whose tensor each site computes. */
  readonly noiseSources: readonly Node[]
  readonly statistics: readonly ConstantStatistics[]
  readonly result: ValueId
}

/** Errors that come into the tensor of a site. */
export interface SourceNoise {
  /** Deviation in each element of the tensor, in message units; the rounding of weights apart. */
  readonly tensor: number
  /**
   * Deviation in each weight, of its rounding, zeros included that are rounded beside it; 0 where there are
   * none.
   */
  readonly weights: number
  /** Whether the weights are plaintexts of full size, with an error of their own at every position. */
  readonly isScattered: boolean
  /** Deviation of a logit that comes of both. */
  readonly logit: number
}

/**
 * A weight that is zero is rounded too. Of the rotations that mix p interleaved channels, 2p - 1 with p
 * weights each, nearly half of the weights are such zeros, and read a neighbouring position.
 */
const ROUNDED_ZEROS = 2

/** Deviation of a logit's error. */
export const logitNoise = (body: NoisyBody, parameters: NoiseParameters): number =>
  Math.hypot(...sourceNoises(body, parameters).map(({ logit }) => logit))

/** Errors that come in at each site. */
export function sourceNoises(body: NoisyBody, parameters: NoiseParameters): SourceNoise[] {
  const shared = sharedRotations(body)
  const tensors = overExits(body, shared, incomingVariance(body, shared, parameters))
  const weights = roundingOfWeights(body, parameters)
  return body.noiseSources.map((node, site) => {
    const { tensor, weights: coherent, scattered } = sensitivityOf(node)
    const { variance, isScattered } = weights[site]
    return {
      tensor: Math.sqrt(tensors[site]),
      weights: Math.sqrt(variance),
      isScattered,
      logit: Math.sqrt(tensors[site] * tensor ** 2 + variance * (isScattered ? scattered : coherent) ** 2),
    }
  })
}

/**
 * Marks rotations of another site's values. Whichever site makes them, all that read the value may use them:
 * their errors come into the tensors of all those, and are no part of the one that made them.
 */
function sharedRotations({ ops, noiseSourceOf }: NoisyBody): Uint8Array {
  const isShared = new Uint8Array(ops.length)
  ops.forEach((op, id) => {
    if (op.kind === 'rotate' && (isShared[op.source] === 1 || noiseSourceOf[op.source] !== noiseSourceOf[id]))
      isShared[id] = 1
  })
  return isShared
}

/** For each operation the variance of the errors that came in since its site began. */
function incomingVariance(
  { ops, noiseSourceOf, statistics }: NoisyBody,
  isShared: Uint8Array,
  parameters: NoiseParameters,
): Float64Array {
  const variances = new Float64Array(ops.length)
  const ofSwitching = remembered((level: number) => keySwitchingNoise(parameters, level))
  // Equal dots of a draft share their terms.
  const sameDot = new Map<readonly Term[], ValueId>()
  ops.forEach((op, id) => {
    const same = op.kind === 'dot' ? sameDot.get(op.terms) : undefined
    if (same !== undefined && noiseSourceOf[same] === noiseSourceOf[id]) {
      variances[id] = variances[same]
      return
    }
    const before = (operand: ValueId): number =>
      noiseSourceOf[operand] === noiseSourceOf[id] || isShared[operand] === 1 ? variances[operand] : 0
    variances[id] = varianceOf(op, before, statistics, parameters, ofSwitching)
    if (op.kind === 'dot') sameDot.set(op.terms, id)
  })
  return variances
}

/** A function that works out each result once. */
function remembered(of: (level: number) => number): (level: number) => number {
  const known: number[] = []
  return (level) => {
    known[level] ??= of(level)
    return known[level]
  }
}

function varianceOf(
  op: Op,
  before: (operand: ValueId) => number,
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
    case 'relinearise':
      return before(op.source) + (ofSwitching(op.level) / op.scale) ** 2
    case 'rescale':
      return before(op.source) + (roundingNoise(parameters) / op.scale) ** 2
    case 'addPlain':
      return before(op.source) + (encodingNoise(constants[op.constant].period) / op.scale) ** 2
    case 'add':
    case 'subtract':
    case 'multiply':
      return before(op.left) + before(op.right)
    case 'refresh':
      return before(op.source) + (refreshNoise(parameters) / op.scale) ** 2
    case 'dropLevel':
      return before(op.source)
    case 'dot':
      return sumOverTerms(op.terms, ({ value, constant }) => before(value) * constants[constant].gain ** 2)
  }
}

function sumOverTerms(terms: readonly Term[], variance: (term: Term) => number): number {
  let sum = 0
  // Drafts repeat a term instead of making equal ones.
  let last: Term | undefined
  let own = 0
  for (const term of terms) {
    if (term !== last) own = variance(term)
    last = term
    sum += own
  }
  return sum
}

/** For each site the mean variance of the values that other noiseSources read, or that are the result. */
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
  return sums.map((sum, site) => (exits[site] === 0 ? 0 : sum / exits[site]))
}

/** Like `operandsOf`, without a list for each of millions of operations. */
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

/** What encoding does to the weights of each site, the largest error counting for all of them. */
function roundingOfWeights(
  { ops, noiseSourceOf, noiseSources, statistics }: NoisyBody,
  { ring }: NoiseParameters,
): WeightRounding[] {
  const found: WeightRounding[] = noiseSources.map(() => ({ variance: 0, isScattered: false }))
  ops.forEach((op, id) => {
    if (op.kind !== 'dot') return
    const { period, exact } = statistics[op.terms[0].constant]
    if (exact) return
    // Sensitivities to masks are to their zeros too.
    const zeros = noiseSources[noiseSourceOf[id]].kind === 'repack' ? 1 : ROUNDED_ZEROS
    const variance = zeros * (encodingNoise(period) / op.constantScale) ** 2
    if (variance > found[noiseSourceOf[id]].variance)
      found[noiseSourceOf[id]] = { variance, isScattered: period === ring / 2 }
  })
  return found
}
