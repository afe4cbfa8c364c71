import type { RotationStrategy } from '../../lowering/strategy.ts'
import type { TargetName } from '../target/target.ts'

/** Lists of options. Each list is tried with the best options of the other lists so far. */
type Choices = readonly (readonly Partial<RotationStrategy>[])[]

/** Chains and Horner's rule: few keys and no hoisting. */
export const CHAINS: RotationStrategy = {
  babies: 5,
  babySteps: 'chain',
  giantSteps: 'horner',
  taps: 'separable',
  depthwise: 'separable',
}

const SEAL_BABIES = [3, 5, 7, 9]
const SIMD_BABIES = [3, 5, 7, 9, 11, 13, 16, 20, 24, 32]

/**
 * Chooses the strategy of the lowest cost. The choices hardly depend on each other, so they are made one
 * after the other, several times.
 *
 * @param interleave slots of a position, which is the largest number of channels of a ciphertext
 * @param costOf returns the cost of a strategy; called some dozens of times
 * @param rounds how many times each choice is made
 */
export function chooseStrategy(
  target: TargetName,
  interleave: number,
  costOf: (strategy: RotationStrategy) => number,
  rounds = 2,
): RotationStrategy {
  const choices = target === 'seal' ? sealChoices : simdChoices(interleave)
  let best = { strategy: CHAINS, cost: costOf(CHAINS) }
  for (let round = 1; round <= rounds; round++) {
    if (round > 1 && choices.length === 1) break
    for (const options of choices) best = bestOf(best, options, costOf)
  }
  return best.strategy
}

interface Rated {
  readonly strategy: RotationStrategy
  readonly cost: number
}

function bestOf(
  start: Rated,
  options: readonly Partial<RotationStrategy>[],
  costOf: (strategy: RotationStrategy) => number,
): Rated {
  let best = start
  for (const option of options) {
    const strategy = { ...start.strategy, ...option }
    const cost = costOf(strategy)
    if (cost < best.cost) best = { strategy, cost }
  }
  return best
}

/** node-seal decomposes for every rotation. Direct rotations would take more keys and save nothing. */
const sealChoices: Choices = [SEAL_BABIES.map((babies) => ({ babies }))]

const simdChoices = (interleave: number): Choices => {
  // 2 * interleave - 1 baby steps are all shifts between channels.
  const babies = [...SIMD_BABIES, 2 * interleave - 1].filter((count) => count < 2 * interleave)
  const steps = (['chain', 'direct'] as const).flatMap((babySteps) =>
    (['horner', 'direct'] as const).map((giantSteps) => ({ babySteps, giantSteps })),
  )
  const counts = babies.map((count) => ({ babies: count }))
  // The best count depends on the steps, and the best steps on the count.
  return [
    steps,
    counts,
    steps,
    counts,
    (['separable', 'direct', 'joint'] as const).map((taps) => ({ taps })),
    (['separable', 'direct'] as const).map((depthwise) => ({ depthwise })),
  ]
}
