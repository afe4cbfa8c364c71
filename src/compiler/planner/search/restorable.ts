import { MAX_EPHEMERAL_LOG_QP } from '../../../circuit/parameters/ephemeral.ts'
import { type ErrorFacts, PolyVeilError } from '../../../errors/index.ts'
import type { PlanRequest } from './search.ts'

/** Whether servers raise moduli in a ring, and so can restore levels. */
export const raises = (ring: number): boolean => Object.hasOwn(MAX_EPHEMERAL_LOG_QP, ring)

/** What keeps a server from restoring levels. */
export interface Obstacle {
  /** A sentence without its full stop. */
  readonly message: string
  readonly facts: ErrorFacts
  /** What removes it: the beginning of a sentence. */
  readonly remedy: string
}

/**
 * The engine seal, whose plans have larger primes than restorations take; or a batch, whose images the
 * transforms would mix; or that no ring raises moduli. Undefined where a server can restore levels.
 *
 * @param rings those to consider
 */
export function obstacleTo(
  { target, batch }: Pick<PlanRequest, 'target' | 'batch'>,
  rings: readonly number[],
): Obstacle | undefined {
  if (target.name === 'seal') {
    return {
      message: 'Circuits for the engine seal cannot restore levels at the server',
      facts: { target: target.name },
      remedy: 'Use the engine simd (--target simd)',
    }
  }
  if (batch > 1) {
    return {
      message: `A server restores the levels of one image in a ciphertext, and not of a batch of ${batch}`,
      facts: { batch },
      remedy: 'Use a batch of 1 (--batch 1)',
    }
  }
  if (rings.some(raises)) return undefined
  const known = Object.keys(MAX_EPHEMERAL_LOG_QP).join(' and ')
  return {
    message: `A server restores levels in the rings ${known}, and not in ${rings.join(', ')}`,
    facts: { rings },
    remedy: 'Use one of these rings (--ring)',
  }
}

/**
 * Checks that a server can restore levels at all.
 *
 * @param rings those to consider
 * @throws CONFIG_INVALID where there is an obstacle. The remedy names another way to run the network, too
 */
export function requireRestorable(
  request: Pick<PlanRequest, 'target' | 'batch' | 'offlineClient'>,
  rings: readonly number[],
): void {
  const obstacle = obstacleTo(request, rings)
  if (obstacle === undefined) return
  const { message, facts, remedy } = obstacle
  const otherWay =
    request.offlineClient || request.target.name === 'seal'
      ? 'one shot (--refresh never)'
      : 'have the client restore levels (--refresh client)'
  throw new PolyVeilError('CONFIG_INVALID', message, facts, { remedy: `${remedy}, or ${otherWay}.` })
}
