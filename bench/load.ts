import { buildIfStale } from '../scripts/building/build.ts'
import { startServer } from '../scripts/demo/server.ts'
import { type Benchmark, check } from './harness.ts'
import { milliseconds, perMinute } from './parts/per-minute.ts'
import { type StoredQuery, send, storedQuery } from './parts/stored-query.ts'

const MODEL = 'digits'
const CLIENTS = [1, 2, 4]
/** Queries at once that saturate the workers and fill what one client may have of the queue. */
const FLOOD = 40
const PROBES = 500
/** So many probes lie between two queries that a full service refuses. */
const PROBES_PER_QUERY = 10

/**
 * What a service under load gives: inferences a minute for several clients, and the times of probes and of
 * refusals while all workers compute. Each client has keys of its own, and sends a query that was encrypted
 * before. Service and clients share the machine.
 */
export const load: Benchmark = {
  name: 'load',
  what: 'inferences a minute, and probes and refusals under saturation',
  async run(say) {
    await buildIfStale(say)
    const server = await startServer()
    try {
      const queries: StoredQuery[] = []
      for (let i = 0; i < Math.max(...CLIENTS); i++) queries.push(await storedQuery(server.url, MODEL))
      for (const query of queries) check((await send(query)) === 200, 'a first inference is answered')
      const throughput = []
      for (const clients of CLIENTS) throughput.push(await perMinute(queries.slice(0, clients), say))
      return { model: MODEL, throughput, saturated: await saturated(server.url, queries, say) }
    } finally {
      await server.stop()
    }
  },
}

/** Probes and refusals while a flood of queries is under way. */
async function saturated(url: string, queries: readonly StoredQuery[], say: (line: string) => void) {
  let open = 0
  const refusals: number[] = []
  let answered = 0
  const flood = async (query: StoredQuery): Promise<void> => {
    const sentAt = performance.now()
    open++
    const status = await send(query)
    open--
    if (status === 200) answered++
    else {
      check([429, 503].includes(status), `a refusal has status ${status}`)
      refusals.push(performance.now() - sentAt)
    }
  }
  const sent = Array.from({ length: FLOOD }, (_, i) => flood(queries[i % queries.length]))
  const alone: number[] = []
  /** A query beside the flood. @returns whether it was refused */
  const sendOneMore = async (): Promise<boolean> => {
    const sentAt = performance.now()
    const isRefused = (await send(queries[0])) !== 200
    if (isRefused) alone.push(performance.now() - sentAt)
    return isRefused
  }
  let isFull = true
  const probes: number[] = []
  for (let i = 1; i <= PROBES && open > 0; i++) {
    const sentAt = performance.now()
    const answer = await fetch(new URL(i % 2 === 0 ? '/v2/health/live' : '/v2/health/ready', url))
    check(answer.status === 200, 'a probe is answered')
    await answer.arrayBuffer()
    probes.push(performance.now() - sentAt)
    if (i % PROBES_PER_QUERY === 0 && isFull) isFull = await sendOneMore()
  }
  await Promise.all(sent)
  check(answered + refusals.length === FLOOD, 'every query of the flood has an answer')
  const figures = {
    queries: FLOOD,
    answered,
    probes: { count: probes.length, ...milliseconds(probes) },
    refusals: { count: alone.length, ...milliseconds(alone) },
    refusalsInFlood: { count: refusals.length, ...milliseconds(refusals) },
  }
  say(`probes under saturation: p50 ${figures.probes.p50} ms, p99 ${figures.probes.p99} ms`)
  say(
    `refusals, one by one: p50 ${figures.refusals.p50} ms, p99 ${figures.refusals.p99} ms of ${alone.length}`,
  )
  return figures
}
