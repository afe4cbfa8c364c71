import type { Objective } from '../../choices.ts'
import { everywhere, type RotationStrategy, type Strategies } from '../../lowering/strategy.ts'
import type { TargetName } from '../target/target.ts'
import type { Candidate } from './candidate.ts'
import { keyBytes } from './draft.ts'
import type { InterleaveGroup } from './interleave-groups.ts'
import { costOf } from './objective.ts'
import { CHAINS, chooseStrategy } from './strategies.ts'

/**
 * Chooses a rotation strategy for each interleave group. Strategies change neither levels nor scales, so the
 * cost of a group depends on its own strategy, except for the keys that groups share. A draft with one
 * strategy for all layers gives the cost of every group with that strategy. The cost of a whole circuit is
 * put together from such drafts.
 *
 * @param draft returns the candidates with one strategy for all layers, and none when lowering fails. Two
 *   lists of candidates differ only in figures that depend on the strategy
 * @param isAllowed says which candidates may be chosen; by default all. Chains are chosen where none is
 */
export function chooseStrategies(
  target: TargetName,
  objective: Objective,
  draft: (strategy: RotationStrategy) => readonly Candidate[],
  isAllowed: (candidate: Candidate) => boolean = () => true,
): Strategies {
  const drafts = new Drafts(draft, objective, isAllowed)
  const chosen = new Map<number, RotationStrategy>()
  const groups = drafts.groups()
  // The slowest group comes first, because faster groups can use the keys that it needs anyway.
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

/** Memoises the drafts with one strategy for all layers. */
class Drafts {
  readonly #draft: (strategy: RotationStrategy) => readonly Candidate[]
  readonly #objective: Objective
  readonly #isAllowed: (candidate: Candidate) => boolean
  readonly #known = new Map<string, readonly Candidate[]>()

  constructor(
    draft: (strategy: RotationStrategy) => readonly Candidate[],
    objective: Objective,
    isAllowed: (candidate: Candidate) => boolean,
  ) {
    this.#draft = draft
    this.#objective = objective
    this.#isAllowed = isAllowed
  }

  /** The interleaves of a circuit, those of the slowest group first. */
  groups(): number[] {
    const [first] = this.#by(CHAINS)
    if (first === undefined) return []
    return [...first.groups].sort(([, a], [, b]) => b.seconds - a.seconds).map(([interleave]) => interleave)
  }

  /** Cost of a circuit whose groups have the given strategies; other groups have chains. */
  costOf(strategies: ReadonlyMap<number, RotationStrategy>): number {
    const costs = this.#by(CHAINS).map((whole, index) => {
      const groups = [...whole.groups.keys()].map((interleave) =>
        this.#by(strategies.get(interleave) ?? CHAINS)[index]?.groups.get(interleave),
      )
      if (!groups.every((group) => group !== undefined)) return Infinity
      const candidate = { ...whole, ...combined(whole, groups) }
      return this.#isAllowed(candidate) ? costOf(this.#objective, candidate) : Infinity
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

function combined(
  { chain, special, keyBytes: bytes }: Candidate,
  groups: readonly InterleaveGroup[],
): Pick<Candidate, 'seconds' | 'keyBytes'> {
  const steps = new Set(groups.flatMap((group) => [...group.steps]))
  return {
    seconds: groups.reduce((sum, group) => sum + group.seconds, 0),
    keyBytes: special === undefined ? bytes : keyBytes(chain, special, steps.size),
  }
}
