import type { Circuit } from '../circuit/types.ts'
import { PolyVeilError } from '../errors/index.ts'
import { MOST_KERNEL_BYTES } from './limits.ts'
import { engineMemory } from './memory.ts'

/**
 * Refuses a circuit that needs more memory than a simd engine may have. It counts the memory itself, because
 * a circuit file may state any. Call it before keys are made or loaded.
 *
 * @param limitBytes of kernel memory and far memory together
 * @throws TOO_LARGE with `neededBytes` and `limitBytes`
 */
export function requireEngineRoom(circuit: Circuit, limitBytes: number): void {
  const { near, far } = engineMemory(circuit)
  requireRoom(circuit, near, MOST_KERNEL_BYTES, 'of the memory that kernels reach, which has')
  requireRoom(circuit, near + far, limitBytes, 'of engine memory, and an engine has')
}

/** @param where the end of "takes N GB ...", before the limit @throws TOO_LARGE */
export function requireRoom(
  { model }: Pick<Circuit, 'model'>,
  neededBytes: number,
  limitBytes: number,
  where: string,
): void {
  if (neededBytes <= limitBytes) return
  throw new PolyVeilError(
    'TOO_LARGE',
    `Model ${model} takes ${gigabytes(Math.ceil, neededBytes)} GB ${where} ${gigabytes(Math.floor, limitBytes)} GB ` +
      'at most. Compile it for a smaller input, in a smaller batch, or with fewer bits of precision',
    { neededBytes, limitBytes },
  )
}

/** In units of 10^9. */
const gigabytes = (round: (value: number) => number, bytes: number): string =>
  (round(bytes / 1e7) / 100).toFixed(2)
