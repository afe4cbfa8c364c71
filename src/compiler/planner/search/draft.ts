import { galoisKeyCount, keyLevels } from '../../../circuit/keys.ts'
import { ephemeralBits, ephemeralChain, MAX_EPHEMERAL_LOG_QP } from '../../../circuit/parameters/ephemeral.ts'
import { digitCount, type KeySwitchingChain, MAX_LOG_QP } from '../../../circuit/parameters/parameters.ts'
import { refreshModulusBits, refreshRounds } from '../../../circuit/refresh.ts'
import type { Layout, Op, ValueId } from '../../../circuit/types.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import { sumSeconds } from '../../../schedule/cost-model.ts'
import { type ExtendedBasis, extendedBasis } from '../../../schedule/extended-basis.ts'
import { keyMemory } from '../../../schedule/key-memory.ts'
import { MOST_KERNEL_BYTES } from '../../../schedule/limits.ts'
import { logitNoise, type NoisyBody } from '../../analysis/noise.ts'
import type { Graph } from '../../graph/graph.ts'
import { CircuitBuilder } from '../../lowering/builder/circuit-builder.ts'
import { planCuts } from '../../lowering/cuts.ts'
import { type Cuts, lowerGraph } from '../../lowering/lower.ts'
import { highPrimes, type RestorationLevels } from '../../lowering/restoration/shape.ts'
import type { Strategies } from '../../lowering/strategy.ts'
import {
  bitsOf,
  DRAFT_LEVELS,
  DraftChain,
  dataPrimes,
  leastSpecialBits,
  type PlannedChain,
  specialPrimeChoices,
} from '../modulus/chain.ts'
import { floodingError, LOGIT_BITS, logitDeviation, logitError, precisionOf } from '../modulus/precision.ts'
import { LOCAL_LINK, refreshCost } from '../target/refresh-cost.ts'
import type { Candidate, LoweringPlan, PlannedRefresh, Segment } from './candidate.ts'
import { interleaveGroups } from './interleave-groups.ts'
import { tooManyLevels } from './no-plan.ts'
import {
  outputLevel,
  type RestorationPlan,
  restorationLevels,
  restorationPrimes,
  restorerOf,
  transformBytes,
} from './restoration.ts'

/**
 * Most special primes of plans with restorations: their chains are long, and few digits make fast key
 * switching.
 */
const MOST_SPECIAL_PRIMES = 14

/** Most bytes of keys that a client uploads for a plan with restorations. */
const MOST_UPLOADED_KEY_BYTES = 2e9
/**
 * Largest share of kernel memory that keys and the transforms' constants may take; values take the rest. The
 * network's weights, which are read once or a few times, go to far memory where they have no room. The
 * circuit's own memory is checked when it is made.
 */
const MOST_RESTORATION_SHARE = 0.72

/** Bits by which the product of the base primes lies below the sum of their sizes. */
const BASE_LACK_BITS = 1
/** One bit for the sign, and `BASE_LACK_BITS`. */
const BASE_SLACK_BITS = 2

/** Bits of modulus that logits of a scale need. */
export const logitBits = (scale: number): number => Math.ceil(Math.log2(scale)) + LOGIT_BITS + BASE_SLACK_BITS

/**
 * Drafts the circuit of a plan, and estimates a candidate for every number of special primes that fits.
 *
 * @returns at least one candidate, unless the ring has too few primes of the sizes
 */
export const candidatesOf = (graph: Graph, plan: LoweringPlan): Candidate[] =>
  drafted(graph, plan, (draft, special) => ({
    ...costed(plan, draft, special),
    graph,
    precisionBits: precisionBits(graph, plan, draft, special),
  }))

/** Candidates without their precision, which takes longer to estimate than their other figures. */
export const costsOf = (graph: Graph, plan: LoweringPlan): CostedDraft[] =>
  drafted(graph, plan, (draft, special) => costed(plan, draft, special))

/** @param figuresOf is called for every number of special primes that fits */
function drafted<T>(
  graph: Graph,
  plan: LoweringPlan,
  figuresOf: (draft: Draft, special: readonly bigint[] | undefined) => T,
): T[] {
  const { ring, batch, copies, sizes, policy, target, segment } = plan
  const levelBits = Math.min(sizes.most, segment?.primeBits ?? sizes.most)
  const levels = segment?.restoration && draftLevels(segment, segment.restoration)
  const fixed = levels && restorationPrimes(ring, segment!.restoration!, levels.raise, sizes)
  if (levels !== undefined && fixed === undefined) return []
  const draftChain = new DraftChain(ring, { ...sizes, most: levelBits }, batch, fixed, copies)
  const builder = new CircuitBuilder(draftChain, policy, 'draft')
  const { value, level, cuts } = lowerDraft(graph, plan, builder)
  const neededBits = logitBits(builder.type(value).scale)
  const refresh = cuts && plannedRefresh(builder, plan, cuts)
  const baseBits = refresh ? Math.max(neededBits, refresh.modulusBits + BASE_LACK_BITS) : neededBits
  if (refresh) for (let l = DRAFT_LEVELS; l > level; l--) draftChain.choose(l, levelBits)
  const finished = draftChain.finish(level, baseBits, sizes)
  if (finished === undefined) return []
  const { left } = finished
  const raiseLevel = builder.ops.some(({ kind }) => kind === 'raise')
    ? finished.chain.base.length - 1
    : undefined
  const chain = { ...finished.chain, raiseLevel }
  const unusedLevels = level - (chain.base.length - 1)
  const ops = builder.ops.map((op) => ({ ...op, level: op.level - unusedLevels }))
  const { counts, statistics, layers, noiseSources, entering, noiseSourceOf } = builder
  const basis = extendedBasis({ ops, result: value })
  const body = {
    ops,
    counts,
    result: value,
    statistics,
    layers,
    noiseSources,
    entering,
    noiseSourceOf,
    basis,
  }
  const most = segment?.restoration ? MOST_SPECIAL_PRIMES : target.mostSpecialPrimes
  const primes = dataPrimes(chain)
  const secure = specialPrimeChoices(chain, left, sizes, most).filter(
    (specialPrimes) => ephemeralExcess(chain, { primes, specialPrimes }) <= 0,
  )
  const draft = { chain, body, refresh }
  return secure.length > 0
    ? secure.map((special) => figuresOf(draft, special))
    : [figuresOf(draft, undefined)]
}

/**
 * Bytes of an engine's memory for the keys of a draft with restorations, and for the constants of the
 * transforms. Their chains are long, so that these take most of the memory, and they are read again and
 * again. Those of other plans are not counted.
 */
function restorationMemoryOf(
  { segment, copies = 1 }: LoweringPlan,
  chain: PlannedChain,
  parameters: KeySwitchingChain,
  ops: readonly Op[],
): number {
  if (chain.raiseLevel === undefined) return 0
  const keys = keyMemory({ ...chain, ...parameters }, keyLevels(chain, { ops }))
  return keys + transformBytes(segment!.restoration!, chain.ring, copies, parameters)
}

/**
 * Lowers the graph. @returns the logits, the level of the last base prime, and the cuts if there are
 * refreshes
 */
function lowerDraft(
  graph: Graph,
  { ring, layout, strategies, segment }: LoweringPlan,
  builder: CircuitBuilder,
): { value: ValueId; level: number; cuts?: Cuts } {
  if (segment === undefined) {
    const { value } = lowerWhole(graph, layout, strategies, builder)
    return { value, level: builder.type(value).level }
  }
  const { restoration } = segment
  if (restoration !== undefined) {
    const levels = draftLevels(segment, restoration)
    const restorer = restorerOf(restoration, ring, levels)
    const options = {
      layout,
      strategies,
      refreshLevel: levels.refresh,
      restorer,
      outputLevel: (scale: number) =>
        outputLevel(restoration, levels, builder.chain.primes, logitBits(scale)),
    }
    const { head, cuts } = planCuts(builder, graph, options)
    return { value: head.value, level: levels.raise, cuts }
  }
  const level = DRAFT_LEVELS - segment.levels
  const { head, cuts } = planCuts(builder, graph, { layout, strategies, refreshLevel: level })
  return { value: head.value, level, cuts }
}

/** The levels of a draft's restorations. */
const draftLevels = ({ levels }: Segment, restoration: RestorationPlan): RestorationLevels => {
  const { length } = restoration.stages
  return restorationLevels(restoration, DRAFT_LEVELS - highPrimes(length) - levels - length, levels)
}

/** Lowers the graph in one shot. @throws DEPTH_EXCEEDED when it needs more levels than drafts have */
function lowerWhole(
  graph: Graph,
  layout: Layout,
  strategies: Strategies,
  builder: CircuitBuilder,
): { value: ValueId } {
  try {
    return lowerGraph(builder, graph, layout, strategies)
  } catch (error) {
    if (!(error instanceof PolyVeilError && error.code === 'LEVEL_EXHAUSTED')) throw error
    throw tooManyLevels(builder)
  }
}

function plannedRefresh(
  { ops, counts }: CircuitBuilder,
  { ring, segment }: LoweringPlan,
  cuts: Cuts,
): PlannedRefresh {
  if (segment?.restoration) return { cuts, modulusBits: segment.restoration.raiseBits, ciphertexts: 0 }
  const modulusBits = refreshModulusBits({ ops, counts, parameters: { ring } })
  const ciphertexts = refreshRounds({ ops, counts }).reduce((sum, count) => sum + count, 0)
  return { cuts, modulusBits, ciphertexts }
}

type Body = NoisyBody &
  Pick<CircuitBuilder, 'ops' | 'counts' | 'layers'> & {
    readonly basis: ExtendedBasis
  }

/** Whether clients upload so many keys. Those of plans without restorations are small. */
export const canBeUploaded = ({
  restorationMemory,
  keyBytes,
}: Pick<Candidate, 'restorationMemory' | 'keyBytes'>): boolean =>
  restorationMemory === 0 || keyBytes <= MOST_UPLOADED_KEY_BYTES

const mostRestorationMemoryOf = ({ mostRestorationMemory = Infinity }: LoweringPlan): number =>
  Math.min(mostRestorationMemory, MOST_RESTORATION_SHARE * MOST_KERNEL_BYTES)

/** A drafted circuit. */
interface Draft {
  readonly chain: PlannedChain
  readonly body: Body
  readonly refresh: PlannedRefresh | undefined
}

/** A candidate without the figures that its noise decides. */
export type CostedDraft = Omit<Candidate, 'graph' | 'precisionBits'>

/** A candidate beyond the budget gets one special prime, so that its excess bits can be reported. */
const specialPrimesOf = ({ sizes }: LoweringPlan, special: readonly bigint[] | undefined) =>
  special ?? [1n << BigInt(sizes.most)]

function costed(
  plan: LoweringPlan,
  { chain, body, refresh }: Draft,
  special: readonly bigint[] | undefined,
): CostedDraft {
  const { ring, layout, segment, target, link = LOCAL_LINK } = plan
  const restoration = segment?.restoration
  const { ops, counts, result, basis } = body
  const primes = dataPrimes(chain)
  const specialPrimes = specialPrimesOf(plan, special)
  const seconds = target.costs({ ops, result, basis, ring, specialPrimes: specialPrimes.length })
  const uploaded = keyBytes(chain, specialPrimes, galoisKeyCount({ ops }))
  const restorationMemory = restorationMemoryOf(plan, chain, { primes, specialPrimes }, ops)
  const { seconds: refreshSeconds, bytes: refreshBytes } = refreshCost(
    { cuts: restoration ? 0 : (refresh?.cuts.size ?? 0), ciphertexts: refresh?.ciphertexts ?? 0 },
    { ring, primes: primes.length, upBits: bitsOf(primes), downBits: bitsOf(chain.base) },
    link,
  )
  return {
    plan,
    chain,
    special,
    refresh,
    refreshSeconds,
    refreshBytes,
    seconds: sumSeconds(seconds, counts),
    groups: interleaveGroups(body, seconds),
    keyBytes: uploaded,
    queryBytes: (layout.ciphertexts * ring * bitsOf(inputPrimes(chain, restoration))) / 8,
    restorationMemory,
    keysFit:
      restorationMemory <= mostRestorationMemoryOf(plan) &&
      canBeUploaded({ restorationMemory, keyBytes: uploaded }),
    excessBits: Math.ceil(
      Math.max(
        bitsOf(primes) + leastSpecialBits(chain) - MAX_LOG_QP[ring],
        ephemeralExcess(chain, { primes, specialPrimes }),
      ),
    ),
  }
}

function precisionBits(
  graph: Graph,
  plan: LoweringPlan,
  { chain, body }: Draft,
  special: readonly bigint[] | undefined,
): number {
  const parameters = {
    ring: plan.ring,
    primes: dataPrimes(chain),
    specialPrimes: specialPrimesOf(plan, special),
  }
  const deviation = logitDeviation(graph)
  const noise = logitNoise(body, parameters)
  return precisionOf(logitError(noise, floodingError(plan.precisionBits, deviation)), deviation)
}

/** Bits by which the modulus of the ephemeral secret's key exceeds its limit. */
const ephemeralExcess = ({ ring, raiseLevel }: PlannedChain, whole: KeySwitchingChain): number =>
  raiseLevel === undefined
    ? Number.NEGATIVE_INFINITY
    : ephemeralBits(whole, raiseLevel) - MAX_EPHEMERAL_LOG_QP[ring]

/** The primes of inputs: all of them, or those of the network's levels. */
function inputPrimes(chain: PlannedChain, restoration: RestorationPlan | undefined): bigint[] {
  const primes = dataPrimes(chain)
  return restoration ? primes.slice(0, primes.length - highPrimes(restoration.stages.length)) : primes
}

/**
 * Bytes of seeded key-switching keys: one polynomial over all primes for each digit of each key, and the
 * public key. Where values are raised, there are two keys more, one of them over few primes.
 */
export function keyBytes(chain: PlannedChain, specialPrimes: readonly bigint[], galoisKeys: number): number {
  const { ring, raiseLevel } = chain
  const whole = { primes: dataPrimes(chain), specialPrimes }
  const polynomialBytes = ({ primes, specialPrimes }: KeySwitchingChain): number =>
    (ring * bitsOf([...primes, ...specialPrimes])) / 8
  const key = (of: KeySwitchingChain): number => digitCount(of) * polynomialBytes(of)
  const raises = raiseLevel === undefined ? 0 : key(ephemeralChain(whole, raiseLevel)) + key(whole)
  return polynomialBytes(whole) + (galoisKeys + 1) * key(whole) + raises
}
