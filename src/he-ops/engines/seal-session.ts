import { logitCoefficients } from '../../circuit/answer.ts'
import { floodingBound } from '../../circuit/flooding-bound.ts'
import { peakLiveBytes } from '../../circuit/liveness.ts'
import type { Manifest } from '../../circuit/manifest/manifest.ts'
import type { Circuit } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { decodeTensor, encodeTensor, frameDigest, querySpec, responseSpec } from '../../wire/index.ts'
import type { Session } from '../engine.ts'
import { execute } from '../executor.ts'
import { type FloodingKeys, floodingFor } from '../flooding.ts'
import type { SealContext } from '../seal/context.ts'
import { createSealEvaluator } from '../seal/evaluator.ts'
import type { EvaluationKeys } from '../seal/keys/index.ts'
import { rerandomise } from '../seal/rerandomise.ts'
import { withHeap } from '../seal/runtime.ts'
import { ciphertextFromWire, ciphertextToWire } from '../seal/serialization/ciphertexts.ts'

/** Heap for plaintexts that an evaluator keeps between inferences. */
const CONSTANT_BYTES = 128 * 2 ** 20

/**
 * A session on node-seal, on the calling thread.
 *
 * @param context owned by the caller
 * @param keys freed with the session
 * @param floodingKeys keys for the noise of answers, of this circuit and key set
 * @throws CONFIG_INVALID for circuits with refresh rounds; LEVEL_EXHAUSTED when the flooding does not fit the
 *   output's level
 */
export function openSealSession(
  context: SealContext,
  keys: EvaluationKeys,
  circuit: Circuit,
  manifest: Manifest,
  floodingKeys: FloodingKeys,
): Session {
  if (circuit.refresh) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      'The seal backend runs no refresh rounds; circuits that have them take primes below 2^30',
    )
  }
  const { parameters, output } = circuit
  const logits = logitCoefficients(circuit)
  const bound = floodingBound(parameters, output, logits)
  const query = querySpec(manifest)
  const evaluator = createSealEvaluator(context, keys, circuit, { cacheBytes: CONSTANT_BYTES })
  return {
    bytes: keys.bytes + CONSTANT_BYTES,
    memory: { keys: keys.bytes, constants: CONSTANT_BYTES, program: peakLiveBytes(circuit) },
    threads: 1,
    async infer(frame, control) {
      const pairs = decodeTensor(parameters, query, frame)
      return withHeap((own) => {
        const inputs = pairs.map((pair) => own(ciphertextFromWire(context, pair, query.level, query.scale)))
        const result = own(execute(circuit, evaluator, inputs, control))
        const flooding = floodingFor(floodingKeys, frameDigest(frame))(logits.count, bound)
        const answer = own(rerandomise(context, keys.publicKey, result, flooding))
        return encodeTensor(parameters, responseSpec(manifest), [ciphertextToWire(context, answer)])
      })
    },
    free() {
      evaluator.delete()
      keys.delete()
    },
  }
}
