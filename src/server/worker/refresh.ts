import type { RefreshClient } from '../../he-ops/engine.ts'
import { ExecutionStopped } from '../../he-ops/executor.ts'
import { failure, type InferTask, type RefreshReply, type WorkerMessage } from './messages.ts'

/**
 * The client that the engine calls in a worker: it sends masked tensors to the thread that answers requests,
 * and waits for replies from there. Several rounds can be open at once.
 *
 * @param task its port must have a listener before the caller awaits anything, since its `close` event ends
 *   the waits
 */
export function refreshOver({ port, stop }: InferTask): RefreshClient {
  const flag = new Int32Array(stop)
  // Each reply has a promise. The end of the port has none: a promise keeps everything that was raced against
  // it, such as frames, in memory.
  const waiting = new Map<number, PromiseWithResolvers<Uint8Array>>()
  port.on('message', ({ round, refreshed }: RefreshReply) => waiting.get(round)?.resolve(refreshed))
  let isClosed = false
  port.once('close', () => {
    isClosed = true
    for (const { reject } of waiting.values()) reject(new ExecutionStopped(0))
  })
  const send = (message: WorkerMessage, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer)

  const waitForReply = (round: number): Promise<Uint8Array> => {
    // The port may have been closed while this thread was computing.
    if (isClosed || Atomics.load(flag, 0) !== 0) throw new ExecutionStopped(0)
    const reply = Promise.withResolvers<Uint8Array>()
    waiting.set(round, reply)
    return reply.promise
  }

  return async (round, masked, reply) => {
    send({ kind: 'refresh', round, masked }, [masked.buffer])
    for (let accepted = false; !accepted; ) {
      const refreshed = await waitForReply(round)
      try {
        await reply(refreshed)
        accepted = true
        waiting.delete(round)
        send({ kind: 'reply checked', round, outcome: { kind: 'value', value: undefined } })
      } catch (error) {
        const outcome = failure(error)
        // A fault of the program ends the task; only errors of the reply go to the client.
        if (outcome.kind !== 'error') throw error
        send({ kind: 'reply checked', round, outcome })
      }
    }
  }
}
