import type { Inference, InferenceSnapshot } from './inference.ts'

const HEARTBEAT_MILLISECONDS = 15_000

/**
 * Server-sent events of an inference: `progress` after every change, and `end` last. A slow reader misses
 * intermediate states but always gets the last one. Comments keep idle connections open.
 *
 * @param signal aborted when the reader has closed the connection
 */
export async function* inferenceEvents(
  inference: Inference,
  signal: AbortSignal,
  heartbeat = HEARTBEAT_MILLISECONDS,
): AsyncGenerator<string> {
  while (!signal.aborted) {
    const { changed, running, snapshot } = inference
    yield event(running ? 'progress' : 'end', snapshot)
    if (!running) return
    while (!signal.aborted && (await changedWithin(changed, heartbeat, signal)) === 'idle')
      yield ': still here\n\n'
  }
}

const event = (name: string, data: InferenceSnapshot): string =>
  `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

async function changedWithin(
  changed: Promise<void>,
  milliseconds: number,
  signal: AbortSignal,
): Promise<'changed' | 'idle' | 'gone'> {
  const { promise, resolve } = Promise.withResolvers<'idle' | 'gone'>()
  const gone = (): void => resolve('gone')
  const timer = setTimeout(resolve, milliseconds, 'idle')
  signal.addEventListener('abort', gone, { once: true })
  try {
    return await Promise.race([changed.then(() => 'changed' as const), promise])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', gone)
  }
}
