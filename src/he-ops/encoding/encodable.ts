import { largestModulus } from '../../circuit/constants/slot-vector.ts'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { SlotVector } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'

/**
 * Checks that a vector can be encoded: a coefficient is at most scale times the largest slot, and must stay
 * below Q_l / 2.
 *
 * @throws TENSOR_OUT_OF_RANGE when a value is not finite, or too large
 */
export function requireEncodable(
  parameters: CkksParameters,
  vector: SlotVector,
  level: number,
  scale: number,
): void {
  const largest = largestModulus(vector)
  const bits = Math.log2(largest * scale + 1) + 1
  const modulusBits = parameters.primes.slice(0, level + 1).reduce((sum, q) => sum + Math.log2(Number(q)), 0)
  if (bits < modulusBits) return
  throw new PolyVeilError(
    'TENSOR_OUT_OF_RANGE',
    `A slot of absolute value ${largest} does not fit level ${level} at scale 2^${Math.log2(scale).toFixed(1)}`,
    { level },
  )
}
