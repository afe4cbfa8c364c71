import type { MessagePort } from 'node:worker_threads'
import type { RefreshClient } from '../../he-ops/engine.ts'
import type { OnProgress } from '../inference/engine.ts'
import { type Outcome, type RefreshReply, unwrap, type WorkerMessage } from './messages.ts'

/** What follows an inference on a worker. */
export interface Followers {
  readonly onProgress: OnProgress
  /** Keys and circuit are loaded. */
  readonly onReady: () => void
  readonly onPaused: (isPaused: boolean) => void
  readonly client: RefreshClient
}

/**
 * Forwards the messages of a worker to the client of an inference, and the client's replies to the worker.
 *
 * @returns a promise that never resolves, and rejects with an error of the client
 */
export function converse(
  port: MessagePort,
  { onProgress, onReady, onPaused, client }: Followers,
): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  // The job may end first.
  promise.catch(() => {})
  const replies = new Map<number, PromiseWithResolvers<void>>()
  const reply = (round: number, refreshed: Uint8Array): Promise<void> => {
    const checked = Promise.withResolvers<void>()
    replies.set(round, checked)
    const copy = new Uint8Array(refreshed)
    port.postMessage({ round, refreshed: copy } satisfies RefreshReply, [copy.buffer])
    return checked.promise
  }
  port.on('message', (message: WorkerMessage) => {
    switch (message.kind) {
      case 'progress':
        return onProgress(message.done, message.total)
      case 'ready':
        return onReady()
      case 'waiting':
        return onPaused(message.isWaiting)
      case 'refresh': {
        const { round, masked } = message
        return void client(round, masked, (refreshed) => reply(round, refreshed)).catch(reject)
      }
      case 'reply checked':
        return void settleReply(replies.get(message.round), message.outcome)
    }
  })
  return promise
}

/** Settles the promise of a reply with the result of its check. */
function settleReply(checked: PromiseWithResolvers<void> | undefined, outcome: Outcome<undefined>): void {
  try {
    checked?.resolve(unwrap(outcome))
  } catch (error) {
    checked?.reject(error)
  }
}
