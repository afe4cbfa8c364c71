import { PolyVeilError } from '../../../errors/index.ts'

/** A plan with what it costs by the objective. */
interface Costed {
  readonly cost: number
}

/**
 * How much more a plan of several images may cost than that of one, for all but the first to ride along for
 * free.
 */
const FREE = 0.03

/**
 * The plan of the largest batch whose images but the first are free: they take slots that would be empty, so
 * that the plan costs hardly more than that of one image. Batches are doubled as long as that holds.
 *
 * @param planOf the plan of a batch. @throws DEPTH_EXCEEDED or CONFIG_INVALID when there is none
 * @throws as `planOf` of one image
 */
export function largestFreeBatch<P extends Costed>(planOf: (batch: number) => P): P {
  const one = planOf(1)
  let best = one
  for (let batch = 2; ; batch *= 2) {
    const plan = planIfAny(() => planOf(batch))
    if (plan === undefined || plan.cost > one.cost * (1 + FREE)) return best
    best = plan
  }
}

function planIfAny<P>(plan: () => P): P | undefined {
  try {
    return plan()
  } catch (error) {
    const isNone = error instanceof PolyVeilError && ['DEPTH_EXCEEDED', 'CONFIG_INVALID'].includes(error.code)
    if (isNone) return undefined
    throw error
  }
}
