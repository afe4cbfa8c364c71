import { answerPeriod } from '../../circuit/answer.ts'
import type { Circuit } from '../../circuit/index.ts'
import { batchSlots, imageTensor, readBatch } from '../../client/index.ts'
import { createClearEvaluator, execute, periodicPart } from '../../he-ops/index.ts'
import { Stopwatch } from '../stopwatch.ts'
import type { VerificationBackend } from './backend.ts'

/** Runs the circuit on plain numbers, with exact levels and scales, without keys and noise. */
export function clearBackend(circuit: Circuit): VerificationBackend {
  const evaluator = createClearEvaluator(circuit)
  const { input, parameters } = circuit
  return {
    keygenSeconds: 0,
    loadSeconds: 0,
    engineMemory: { keys: 0, constants: 0, program: 0 },
    bytes: { keys: 0, query: 0, refreshUp: 0, refreshDown: 0, response: 0 },
    rounds: 0,
    async run(images, onProgress) {
      const watch = new Stopwatch()
      const tensors: Float64Array[] = []
      for (const image of images) tensors.push((await imageTensor(image, input)).tensor)
      const vectors = batchSlots(tensors, circuit, parameters.slots)
      const inputs = vectors.map((vector) => evaluator.encrypt(vector, input.level, input.scale))
      const encrypt = watch.lap()
      const result = execute(circuit, evaluator, inputs, { onProgress, takeInputs: true })
      const executed = watch.lap()
      const slots = evaluator.decrypt(result)
      evaluator.free(result)
      const answer = periodicPart(slots, answerPeriod(circuit))
      const logits = readBatch(answer, circuit).slice(0, images.length)
      return { logits, seconds: { encrypt, execute: executed, refreshClient: 0, decrypt: watch.lap() } }
    },
    async close() {},
  }
}
