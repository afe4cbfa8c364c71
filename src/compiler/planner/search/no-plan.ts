import { MAX_LOG_QP } from '../../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import type { Graph } from '../../graph/graph.ts'
import { CircuitBuilder } from '../../lowering/builder/circuit-builder.ts'
import { lowerGraph } from '../../lowering/lower.ts'
import { bitsOf, DRAFT_LEVELS, DraftChain, leastSpecialBits } from '../modulus/chain.ts'
import type { Candidate } from './candidate.ts'

/** What is asked of a plan, as far as the errors speak of it. */
export interface Asked {
  /** Bits by which the logits' error lies below their root mean square. */
  readonly precisionBits: number
  /** Whether the client is offline between query and answer, so that remedies do not ask it for refreshes. */
  readonly offlineClient?: boolean
}

/**
 * The error when no candidate fits. It names the candidate with the fewest excess bits of modulus, or the
 * best precision when all candidates fit the modulus.
 */
export function noPlan(graph: Graph, tried: readonly Candidate[], asked: Asked): PolyVeilError {
  const tooLarge = tried.filter(({ excessBits }) => excessBits > 0)
  if (tooLarge.length === 0) return imprecise(asked, bestPrecision(tried))
  const best = tooLarge.reduce((a, b) => (b.excessBits < a.excessBits ? b : a))
  return depthExceeded(graph, best, asked.precisionBits)
}

const bestPrecision = (tried: readonly Candidate[]): number =>
  tried.reduce((best, candidate) => Math.max(best, candidate.precisionBits), 0)

/**
 * The error when no plan within the security limits has the requested precision. @param reached best
 * precision
 */
export function imprecise({ precisionBits, offlineClient }: Asked, reached: number): PolyVeilError {
  const bestPrecisionBits = Math.max(0, reached)
  return new PolyVeilError(
    'DEPTH_EXCEEDED',
    `No plan within the security limits keeps ${precisionBits} bits of precision; the best keeps ` +
      `${bestPrecisionBits.toFixed(1)}. What would help: a lower --precision, a larger ring if there is one, or another choice ` +
      `of --refresh${offlineClient ? ' (client only without --offline-client)' : ''}`,
    { precisionBits, bestPrecisionBits },
  )
}

/**
 * The error when the keys of all plans are too large to be uploaded, or take too much of an engine's memory.
 */
export function keysTooLarge(
  tried: readonly Candidate[],
  { offlineClient }: Pick<Asked, 'offlineClient'>,
): PolyVeilError {
  const keyBytes = Math.min(...tried.map((candidate) => candidate.keyBytes))
  return new PolyVeilError(
    'TOO_LARGE',
    `The keys of every plan, ${(keyBytes / 1e9).toFixed(1)} GB on the wire at least, leave no room for the network in an ` +
      'engine. Compile it for a smaller ring, for a smaller input, or with --refresh client' +
      (offlineClient ? ' and without --offline-client' : ''),
    { keyBytes },
  )
}

/**
 * The error when a network in one shot needs more levels than drafts have. The builder's last layer is the
 * layer that failed.
 */
export function tooManyLevels({ layers }: CircuitBuilder): PolyVeilError {
  const layer = layers.at(-1)?.name ?? 'input'
  return new PolyVeilError(
    'DEPTH_EXCEEDED',
    `The network needs more than ${DRAFT_LEVELS} levels in one shot, exhausted at layer ${layer}. What would help: ` +
      'levels that are restored (--refresh), or a shallower network',
    { levels: DRAFT_LEVELS, layer },
  )
}

function depthExceeded(graph: Graph, best: Candidate, precisionBits: number): PolyVeilError {
  const { excessBits, chain, plan } = best
  const { ring } = chain
  const limit = MAX_LOG_QP[ring]
  const needed = limit + excessBits
  const layer = firstLayerBeyond(graph, best)
  const larger = ring < plan.target.largestRing ? `a larger ring (--ring ${ring * 2}), ` : ''
  return new PolyVeilError(
    'DEPTH_EXCEEDED',
    `The network needs ${needed} modulus bits in one shot; ring ${ring} allows ${limit}: ${excessBits} bits too many, ` +
      `exhausted at layer ${layer}. What would help: ${larger}fewer bits of precision (--precision below ` +
      `${precisionBits}), or a shallower network`,
    { ring, neededBits: needed, limitBits: limit, missingBits: excessBits, layer },
  )
}

/** Name of the first layer whose draft exceeds the modulus that the ring allows. */
function firstLayerBeyond(graph: Graph, { chain, plan }: Candidate): string {
  const { policy, sizes, layout, strategies, batch } = plan
  const builder = new CircuitBuilder(new DraftChain(chain.ring, sizes, batch), policy, 'draft')
  lowerGraph(builder, graph, layout, strategies)
  const levels = levelsWithin(
    chain.levels,
    MAX_LOG_QP[chain.ring] - bitsOf(chain.base) - leastSpecialBits(chain),
  )
  const beyond = builder.ops.find((op) => DRAFT_LEVELS - op.level > levels)
  return beyond ? builder.layers[beyond.layer].name : 'head'
}

/** Number of primes, from the highest down, whose product has at most `bits` bits. */
function levelsWithin(levels: readonly bigint[], bits: number): number {
  const downwards = levels.toReversed()
  const beyond = downwards.findIndex((_, index) => bitsOf(downwards.slice(0, index + 1)) > bits)
  return beyond < 0 ? levels.length : beyond
}
