import type { Circuit } from '../circuit/types.ts'
import { PolyVeilError } from '../errors/index.ts'

/** The most that an engine's memory has: what 32-bit addresses reach, but for the last page. */
export const MOST_ENGINE_BYTES = 2 ** 32 - 65536

/**
 * Refuses a circuit whose plan needs more memory than an engine may have: before anything is loaded or made
 * for it.
 *
 * @throws TOO_LARGE with `neededBytes` and `limitBytes`
 */
export function requireEngineRoom(
  { model, estimate }: Pick<Circuit, 'model' | 'estimate'>,
  limitBytes = MOST_ENGINE_BYTES,
): void {
  const neededBytes = estimate.memoryBytes
  if (neededBytes <= limitBytes) return
  throw new PolyVeilError(
    'TOO_LARGE',
    `Model ${model} takes ${gigabytes(Math.ceil, neededBytes)} GB of engine memory, and an engine has ` +
      `${gigabytes(Math.floor, limitBytes)} GB at most. Compile it for a smaller input, in a smaller batch, or with fewer bits of precision`,
    { neededBytes, limitBytes },
  )
}

/** In units of 10^9. */
const gigabytes = (round: (value: number) => number, bytes: number): string =>
  (round(bytes / 1e7) / 100).toFixed(2)
