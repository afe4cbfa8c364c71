import { RETRY_AFTER_HEADER } from '../../wire/protocol/index.ts'

/** Longest wait that a server can ask for. */
export const MAX_RETRY_SECONDS = 60

/**
 * Milliseconds to wait before a request is sent again: from `Retry-After`, or doubling from one second.
 */
export function retryDelay(headers: Headers, attempt: number): number {
  const seconds = retryAfterSeconds(headers) ?? 2 ** (attempt - 1)
  return Math.min(seconds, MAX_RETRY_SECONDS) * 1000
}

/** The seconds in `Retry-After`; undefined when it is absent or a date. */
export function retryAfterSeconds(headers: Headers): number | undefined {
  const header = headers.get(RETRY_AFTER_HEADER)?.trim()
  return header && /^\d+$/.test(header) ? Number(header) : undefined
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
