import { setTimeout as sleep } from 'node:timers/promises'
import type { CheckTask, InferTask } from '../../../src/server/worker/messages.ts'

// Replaces worker.ts. The first byte of a frame chooses the outcome of the inference.

export const checkKeys = async (_task: CheckTask) => ({
  kind: 'value',
  value: { galoisElements: [3], digest: 'd' },
})

export async function infer({ frame, stop, port }: InferTask) {
  switch (frame[0]) {
    case 1:
      return process.exit(1)
    case 2:
      return { kind: 'fault', message: 'a bug', stack: 'at its place' }
    case 3: {
      port.postMessage({ kind: 'progress', done: 1, total: 2 })
      const flag = new Int32Array(stop)
      while (Atomics.load(flag, 0) === 0) await sleep(5)
      return { kind: 'stopped' }
    }
    default:
      return { kind: 'value', value: frame.slice(0, 3) }
  }
}
