import { MAX_EPHEMERAL_LOG_QP } from '../../../circuit/parameters/ephemeral.ts'
import { type ErrorFacts, PolyVeilError } from '../../../errors/index.ts'
import type { TargetName } from '../target/target.ts'

/** Whether servers raise moduli in a ring, and so can restore levels. */
export const raises = (ring: number): boolean => Object.hasOwn(MAX_EPHEMERAL_LOG_QP, ring)

/**
 * Checks that a server can restore levels at all.
 *
 * @param rings those to consider
 * @throws CONFIG_INVALID for the engine seal, whose plans have larger primes than restorations
 *   take; for a batch, whose images the transforms would mix; and where no ring raises moduli
 */
export function requireRestorable(target: TargetName, batch: number, rings: readonly number[]): void {
  if (target === 'seal') {
    throw refused(
      'Circuits for the engine seal cannot restore levels at the server',
      { target },
      'Use the engine simd (--target simd), or one shot (--refresh never).',
    )
  }
  if (batch > 1) {
    throw refused(
      `A server restores the levels of one image in a ciphertext, and not of a batch of ${batch}`,
      { batch },
      'Use a batch of 1 (--batch 1), or have the client restore levels (--refresh client).',
    )
  }
  if (!rings.some(raises)) {
    throw refused(
      `A server restores levels in the rings ${Object.keys(MAX_EPHEMERAL_LOG_QP).join(' and ')}, and not in ${rings.join(', ')}`,
      { rings },
      'Use one of these rings (--ring), or have the client restore levels (--refresh client).',
    )
  }
}

const refused = (message: string, facts: ErrorFacts, remedy: string): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', message, facts, { remedy })
