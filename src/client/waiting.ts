import type { LocalModel } from './local/local-model.ts'
import type { CallOptions } from './progress.ts'

const REPORT_MILLISECONDS = 1000

/**
 * Reports once a second, while the server computes, how long it should still take by the manifest's estimate.
 */
export async function waiting<T>(
  answer: Promise<T>,
  { manifest, sizes }: LocalModel,
  answerBytes: number,
  { onProgress }: CallOptions,
): Promise<T> {
  const startedAt = performance.now()
  const bytesTotal = sizes.query + answerBytes
  const report = (bytesDone: number, secondsLeft: number): void =>
    onProgress?.({ stage: 'infer', round: 0, bytesDone, bytesTotal, secondsLeft })
  const tick = (): void => {
    const seconds = (performance.now() - startedAt) / 1000
    report(0, Math.max(0, manifest.estimate.seconds - seconds))
  }
  tick()
  const timer = setInterval(tick, REPORT_MILLISECONDS)
  try {
    const value = await answer
    report(bytesTotal, 0)
    return value
  } finally {
    clearInterval(timer)
  }
}
