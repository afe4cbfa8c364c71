import type { Manifest } from '../../circuit/manifest.ts'
import type { Circuit } from '../../circuit/types.ts'
import { type ByteSource, encodeTensor, openTensor, querySpec, responseSpec } from '../../wire/index.ts'
import type { SimdEngine, SimdKeySet } from '../simd/index.ts'
import type { Session } from './session.ts'

/**
 * A session on the simd engine.
 *
 * @param keys the client's; they outlive the session
 * @param source the key set's frame
 * @throws KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED for the key set; TOO_LARGE when memory does not suffice
 */
export async function openSimdSession(
  engine: SimdEngine,
  circuit: Circuit,
  manifest: Manifest,
  keys: SimdKeySet,
  source: ByteSource,
): Promise<Session> {
  const session = await engine.open(circuit, keys, source)
  const { parameters, ops } = circuit
  return {
    bytes: session.memory.program,
    memory: { keys: keys.bytes, ...session.memory },
    threads: engine.threads,
    async infer(frame, { onProgress, shouldStop } = {}) {
      const pairs = openTensor(parameters, querySpec(manifest), frame)
      const result = await session.run(pairs, {
        onProgress: (done) => onProgress?.(done, ops.length),
        shouldStop,
      })
      return encodeTensor(parameters, responseSpec(manifest), [result])
    },
    free: () => session.free(),
  }
}
