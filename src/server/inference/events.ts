import type { HostedInference } from './host.ts'
import type { InferenceMoment, InferenceSnapshot } from './inference.ts'

const HEARTBEAT_MILLISECONDS = 15_000

/**
 * Server-sent events of an inference: `progress` after every change, and `end` last. A slow reader misses
 * intermediate states but always gets the last one. Comments keep idle connections open.
 *
 * @param signal aborted when the reader has closed the connection
 */
export async function* inferenceEvents(
  inference: Pick<HostedInference, 'moment'>,
  signal: AbortSignal,
  heartbeat = HEARTBEAT_MILLISECONDS,
): AsyncGenerator<string> {
  for (let seen = -1; !signal.aborted; ) {
    const next = inference.moment(seen, signal)
    // An inference whose process ends while nobody waits for its state must not end this process.
    next.catch(() => {})
    let moment: InferenceMoment | 'idle' | 'gone' = 'idle'
    while (moment === 'idle') {
      moment = await within(next, heartbeat, signal)
      if (moment === 'idle') yield ': still here\n\n'
    }
    if (moment === 'gone') return
    const { version, running, snapshot } = moment
    yield event(running ? 'progress' : 'end', snapshot)
    if (!running) return
    seen = version
  }
}

const event = (name: string, data: InferenceSnapshot): string =>
  `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

async function within(
  next: Promise<InferenceMoment>,
  milliseconds: number,
  signal: AbortSignal,
): Promise<InferenceMoment | 'idle' | 'gone'> {
  const { promise, resolve } = Promise.withResolvers<'idle' | 'gone'>()
  const gone = (): void => resolve('gone')
  const timer = setTimeout(resolve, milliseconds, 'idle')
  signal.addEventListener('abort', gone, { once: true })
  try {
    return await Promise.race([next, promise])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', gone)
  }
}
