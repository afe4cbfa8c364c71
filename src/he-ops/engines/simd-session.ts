import type { Manifest } from '../../circuit/manifest/manifest.ts'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { Circuit } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import {
  type ByteSource,
  encodeTensor,
  frameDigest,
  maskedSpec,
  openTensor,
  type PackedRlwe,
  querySpec,
  refreshedSpec,
  responseSpec,
} from '../../wire/index.ts'
import type { RefreshClient, Session } from '../engine.ts'
import { type FloodingKeys, floodingFor } from '../flooding.ts'
import type {
  RefreshClient as PairRefreshClient,
  SimdEngine,
  SimdKeySet,
  SimdSession,
} from '../simd/index.ts'

/**
 * A session on the simd engine. It does not keep the circuit, which is large.
 *
 * @param keys the client's; they outlive the session
 * @param source the key set's frame
 * @param floodingKeys keys for the noise of answers, of this circuit and key set
 * @param identity as `SimdEngine.open` takes it
 * @throws KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED for the key set; TOO_LARGE when memory does not
 *   suffice
 */
export async function openSimdSession(
  engine: SimdEngine,
  circuit: Circuit,
  manifest: Manifest,
  keys: SimdKeySet,
  source: ByteSource,
  floodingKeys: FloodingKeys,
  identity?: object,
): Promise<Session> {
  const session = await engine.open(circuit, keys, source, identity)
  const { parameters } = circuit
  const operations = circuit.ops.length
  return {
    bytes: session.memory.program,
    memory: { keys: keys.bytes, ...session.memory },
    threads: engine.threads,
    async infer(frame, { onProgress, shouldStop, overlap } = {}, client?) {
      const pairs = openTensor(parameters, querySpec(manifest), frame)
      const replies: Uint8Array[] = []
      const result = await session.run(
        pairs,
        {
          onProgress: (done) => onProgress?.(done, operations),
          shouldStop,
          overlap,
          flooding: floodingFor(floodingKeys, frameDigest(frame), replies),
        },
        client && inFrames(session, parameters, manifest, client, replies),
      )
      return encodeTensor(parameters, responseSpec(manifest), [result])
    },
    free: () => session.free(),
  }
}

/**
 * Converts between the engine's residues and the client's frames, and checks the client's frames.
 *
 * @param replies filled with the digests of the client's frames, by round
 */
const inFrames =
  (
    session: SimdSession,
    parameters: CkksParameters,
    manifest: Manifest,
    client: RefreshClient,
    replies: Uint8Array[],
  ): PairRefreshClient =>
  async (round, masked) => {
    const frame = encodeTensor(parameters, maskedSpec(manifest, round), masked)
    let taken: readonly PackedRlwe[] | undefined
    await client(round, frame, async (refreshed) => {
      const pairs = openTensor(parameters, refreshedSpec(manifest, round), refreshed)
      session.check(pairs)
      taken = pairs
      replies[round] = frameDigest(refreshed).slice()
    })
    if (taken) return taken
    throw new PolyVeilError('INTERNAL', `The client leaves round ${round} without an answer`)
  }
