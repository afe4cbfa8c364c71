import type { Circuit } from '../../circuit/index.ts'
import { createClearEvaluator, execute } from '../../he-ops/index.ts'
import { Stopwatch } from '../stopwatch.ts'
import type { VerificationBackend } from './backend.ts'
import { logitsOf } from './slots.ts'

/** Runs the circuit on plain numbers: exact levels and scales, no keys, no noise. */
export function clearBackend(circuit: Circuit): VerificationBackend {
  const evaluator = createClearEvaluator(circuit)
  const { input } = circuit
  return {
    keygenSeconds: 0,
    bytes: { keys: 0, query: 0, response: 0 },
    async run(vectors, onProgress) {
      const watch = new Stopwatch()
      const inputs = vectors.map((vector) => evaluator.encrypt(vector, input.level, input.scale))
      const encrypt = watch.lap()
      const result = execute(circuit, evaluator, inputs, { onProgress, takeInputs: true })
      const seconds = { encrypt, execute: watch.lap(), decrypt: 0 }
      const logits = logitsOf(circuit.output, evaluator.decrypt(result))
      evaluator.free(result)
      return { logits, seconds: { ...seconds, decrypt: watch.lap() } }
    },
    close() {},
  }
}
