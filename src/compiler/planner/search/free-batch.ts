import { PolyVeilError } from '../../../errors/index.ts'

/** A plan with its cost by the objective. */
interface Costed {
  readonly cost: number
  /** Whether its way to run the network takes several images in a ciphertext. */
  readonly takesBatches: boolean
}

/** Largest relative excess of a batch's cost over that of one image for the other images to count as free. */
const FREE = 0.03

/**
 * The plan of the largest batch that costs hardly more than one image, because the other images take slots
 * that would be empty. Batches are doubled as long as that holds. Where the way of one image takes no batch,
 * there is no larger one: a network that is too deep for the other ways is so in batches, too.
 *
 * @param planOf returns the plan of a batch, and throws DEPTH_EXCEEDED or CONFIG_INVALID when there is none
 * @throws as `planOf` for one image
 */
export function largestFreeBatch<P extends Costed>(planOf: (batch: number) => P): P {
  const one = planOf(1)
  if (!one.takesBatches) return one
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
