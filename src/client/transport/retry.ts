import { RETRY_AFTER_HEADER } from '../../wire/protocol/index.ts'

const MAX_SECONDS = 60

/**
 * Milliseconds to wait before a request is sent again: from `Retry-After`, or doubling from one second.
 */
export function retryDelay(headers: Headers, attempt: number): number {
  const header = headers.get(RETRY_AFTER_HEADER)?.trim()
  const seconds = header && /^\d+$/.test(header) ? Number(header) : 2 ** (attempt - 1)
  return Math.min(seconds, MAX_SECONDS) * 1000
}

/** Resolves after a time; rejects with the signal's reason when that comes first. */
export function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, milliseconds)
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}
