import { everywhere, type RotationStrategy, type Strategies } from '../../lowering/strategy.ts'
import type { TargetName } from '../target/target.ts'
import type { Candidate } from './candidate.ts'
import { keyBytes } from './draft.ts'
import type { InterleaveGroup } from './interleave-groups.ts'
import { costOf, type Objective } from './objective.ts'
import { CHAINS, chooseStrategy } from './strategies.ts'

/**
 * Chooses a strategy for each interleave. Strategies change neither levels nor scales, so what a stage takes
 * by one of them does not depend on the others, but for the keys that groups share: a draft with one strategy
 * everywhere tells what every stage takes by it, and whole circuits are put together from such drafts.
 *
 * @param draft candidates with one strategy everywhere, alike in all but what depends on the strategy; none
 *   when it fails
 */
export function chooseStrategies(
  target: TargetName,
  objective: Objective,
  draft: (strategy: RotationStrategy) => readonly Candidate[],
): Strategies {
  const drafts = new Drafts(draft, objective)
  const chosen = new Map<number, RotationStrategy>()
  const groups = drafts.groups()
  // What the slowest stage takes decides; the others can have their keys with it.
  for (const interleave of groups) {
    const strategy = chooseStrategy(
      target,
      interleave,
      (strategy) => drafts.costOf(new Map([...chosen, [interleave, strategy]])),
      groups.length > 1 ? 1 : undefined,
    )
    chosen.set(interleave, strategy)
  }
  return { ...everywhere(CHAINS), byInterleave: chosen }
}

/** Drafts with one strategy everywhere, each made once. */
class Drafts {
  readonly #draft: (strategy: RotationStrategy) => readonly Candidate[]
  readonly #objective: Objective
  readonly #known = new Map<string, readonly Candidate[]>()

  constructor(draft: (strategy: RotationStrategy) => readonly Candidate[], objective: Objective) {
    this.#draft = draft
    this.#objective = objective
  }

  /** The interleaves of a circuit, the slowest stage first. */
  groups(): number[] {
    const [first] = this.#by(CHAINS)
    if (first === undefined) return []
    return [...first.groups].sort(([, a], [, b]) => b.seconds - a.seconds).map(([interleave]) => interleave)
  }

  /** Cost of a circuit whose groups have the given strategies, and chains where none is given. */
  costOf(strategies: ReadonlyMap<number, RotationStrategy>): number {
    const costs = this.#by(CHAINS).map((whole, index) => {
      const groups = [...whole.groups.keys()].map((interleave) =>
        this.#by(strategies.get(interleave) ?? CHAINS)[index]?.groups.get(interleave),
      )
      return groups.every((stage) => stage !== undefined)
        ? costOf(this.#objective, { ...whole, ...together(whole, groups) })
        : Infinity
    })
    return Math.min(...costs)
  }

  #by(strategy: RotationStrategy): readonly Candidate[] {
    const key = Object.values(strategy).join()
    const drafted = this.#known.get(key) ?? this.#draft(strategy)
    this.#known.set(key, drafted)
    return drafted
  }
}

function together(
  { chain, special, keyBytes: bytes }: Candidate,
  groups: readonly InterleaveGroup[],
): Pick<Candidate, 'seconds' | 'keyBytes'> {
  const steps = new Set(groups.flatMap((stage) => [...stage.steps]))
  return {
    seconds: groups.reduce((sum, stage) => sum + stage.seconds, 0),
    keyBytes: special === undefined ? bytes : keyBytes(chain, special, steps.size),
  }
}
