import type { Circuit } from '../circuit/types.ts'
import { PolyVeilError } from '../errors/index.ts'

// Memory limits of the simd engine that its plan and its execution both keep.

/** Bytes of one residue in kernel memory. */
export const RESIDUE_BYTES = 4

/** Memory that the digits of one step's rotations may take. */
export const DIGIT_BYTES = 96 * 2 ** 20

/** Memory that the residues of weights may take which are expanded together. */
export const EXPANSION_BYTES = 64 * 2 ** 20

/** The most memory that an engine can have. 32-bit addresses reach it; the last page is left out. */
export const MOST_ENGINE_BYTES = 2 ** 32 - 65536

/**
 * Refuses a circuit whose plan needs more memory than an engine may have. Call it before keys are made or
 * loaded.
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
