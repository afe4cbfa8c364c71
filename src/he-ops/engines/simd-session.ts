import type { Manifest } from '../../circuit/manifest/manifest.ts'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import {
  encodeTensor,
  frameDigest,
  maskedSpec,
  openTensor,
  type PackedRlwe,
  querySpec,
  refreshedSpec,
  responseSpec,
} from '../../wire/index.ts'
import type { OpenRequest, RefreshClient, Session } from '../engine.ts'
import { floodingFor } from '../flooding.ts'
import type { RefreshPairs, SimdEngine, SimdKeySet, SimdSession } from '../simd/index.ts'

/** As `OpenRequest`, with keys of the simd engine. They outlive the session. */
export interface SimdOpenRequest extends OpenRequest {
  readonly keys: SimdKeySet
}

/**
 * A session on the simd engine. It does not keep the circuit, which is large.
 *
 * @throws KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED for the key set; TOO_LARGE when memory does not
 *   suffice; ExecutionStopped
 */
export async function openSimdSession(
  engine: SimdEngine,
  { circuit, manifest, keys, source, floodingKeys, identity, shouldStop }: SimdOpenRequest,
): Promise<Session> {
  const session = await engine.open(circuit, keys, source, identity, shouldStop)
  const { parameters } = circuit
  const operations = circuit.ops.length
  return {
    bytes: session.memory.program,
    memory: { keys: keys.bytes, ...session.memory },
    threads: engine.threads,
    async infer(frame, { onProgress, shouldStop, stopped, onWaiting, overlap } = {}, client?) {
      const pairs = openTensor(parameters, querySpec(manifest), frame)
      const replies: Uint8Array[] = []
      const result = await session.run(
        pairs,
        {
          onProgress: (done) => onProgress?.(done, operations),
          shouldStop,
          stopped,
          onWaiting,
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
  ): RefreshPairs =>
  async (round, masked) => {
    const frame = encodeTensor(parameters, maskedSpec(manifest, round), masked)
    let taken: readonly PackedRlwe[] | undefined
    await client(round, frame, async (refreshed) => {
      const pairs = openTensor(parameters, refreshedSpec(manifest, round), refreshed)
      // The ingress checks residues, too, but after the reply was accepted. Checked here, a bad reply is
      // refused by itself, and the client may send another.
      session.check(pairs)
      taken = pairs
      replies[round] = frameDigest(refreshed).slice()
    })
    if (taken) return taken
    throw new PolyVeilError('INTERNAL', `The client leaves round ${round} without an answer`)
  }
