import { answerPeriod } from '../../circuit/answer.ts'
import { isComplex } from '../../circuit/constants/constant.ts'
import type { Circuit } from '../../circuit/index.ts'
import { peakLiveValues } from '../../circuit/liveness.ts'
import { batchSlots, imageTensor, readBatch } from '../../client/index.ts'
import { createClearEvaluator, execute, periodicPart } from '../../he-ops/index.ts'
import { requireRoom } from '../../schedule/engine-room.ts'
import { Stopwatch } from '../stopwatch.ts'
import type { VerificationBackend } from './backend.ts'

/** Bytes of slot vectors that may be alive at once. */
const MOST_SLOT_BYTES = 2 ** 32

/**
 * Runs the circuit on plain numbers, with exact levels and scales, without keys and noise.
 *
 * @throws TOO_LARGE when the values that are alive at once take too much memory
 */
export function clearBackend(circuit: Circuit): VerificationBackend {
  const slotBytes = 8 * partsOfSlots(circuit) * circuit.parameters.slots * peakLiveValues(circuit)
  requireRoom(circuit, slotBytes, MOST_SLOT_BYTES, 'of plain values at once, and a verification has room for')
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

/** Numbers of each slot: with imaginary parts where an operation or a constant can make them. */
function partsOfSlots({ ops, constants }: Circuit): 1 | 2 {
  if (ops.some(({ kind }) => kind === 'timesI')) return 2
  for (const constant of constants) if (isComplex(constant)) return 2
  return 1
}
