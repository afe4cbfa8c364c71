import { check, figure } from '../harness.ts'
import { type StoredQuery, send } from './stored-query.ts'

const SECONDS = 20

/** Each client sends its next query when it has its answer. */
export async function perMinute(queries: readonly StoredQuery[], say: (line: string) => void) {
  const startedAt = performance.now()
  const times: number[] = []
  const runClient = async (query: StoredQuery): Promise<void> => {
    while (performance.now() - startedAt < SECONDS * 1000) {
      const sentAt = performance.now()
      check((await send(query)) === 200, 'an inference is answered')
      times.push(performance.now() - sentAt)
    }
  }
  await Promise.all(queries.map(runClient))
  const minutes = (performance.now() - startedAt) / 60_000
  const row = {
    clients: queries.length,
    inferences: times.length,
    inferencesPerMinute: figure(times.length / minutes),
    ...milliseconds(times),
  }
  say(`${row.clients} clients: ${row.inferencesPerMinute} inferences a minute, median ${row.p50} ms`)
  return row
}

/** Median and 99th percentile, in milliseconds. */
export function milliseconds(times: readonly number[]): { p50?: number; p99?: number } {
  if (times.length === 0) return {}
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): number =>
    figure(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))])
  return { p50: at(0.5), p99: at(0.99) }
}
