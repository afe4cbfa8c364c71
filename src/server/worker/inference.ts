import type { Ciphertext } from 'node-seal'
import { type ExecuteOptions, execute } from '../../he-ops/executor.ts'
import { ciphertextFromWire, ciphertextToWire } from '../../he-ops/seal/ciphertexts.ts'
import { rerandomise } from '../../he-ops/seal/rerandomise.ts'
import { withHeap } from '../../he-ops/seal/runtime.ts'
import { decodeTensor, encodeTensor, querySpec, responseSpec } from '../../wire/index.ts'
import type { LoadedCircuit } from './circuits.ts'
import type { Session } from './sessions.ts'

export type Control = Pick<ExecuteOptions<Ciphertext>, 'onProgress' | 'shouldStop'>

/**
 * Runs a circuit on an encrypted image.
 *
 * @param frame checked here, to the last residue
 * @returns the frame of the encrypted logits, re-randomised under the client's public key
 * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH for a bad frame; ExecutionStopped
 */
export function runInference(
  { circuit, manifest }: LoadedCircuit,
  { context, keys, evaluator }: Session,
  frame: Uint8Array,
  control: Control,
): Uint8Array {
  const { parameters } = circuit
  const query = querySpec(manifest)
  const pairs = decodeTensor(parameters, query, frame)
  return withHeap((own) => {
    const inputs = pairs.map((pair) => own(ciphertextFromWire(context, pair, query.level, query.scale)))
    const result = own(execute(circuit, evaluator, inputs, control))
    const answer = own(rerandomise(context, keys.publicKey, result, { flooding: circuit.output.flooding }))
    return encodeTensor(parameters, responseSpec(manifest), [ciphertextToWire(context, answer)])
  })
}
