import { markdownTable } from './markdown.ts'
import { source } from './refreshed-table.ts'
import { RESULTS } from './results.ts'
import { bytesText, secondsText } from './units.ts'

/** What several worker processes give, and what an inference costs Redis and the HTTP process. */
export function clusterTable(): string {
  const { cluster } = RESULTS
  const heading = [
    'processes',
    'inferences a minute',
    'median',
    'Redis',
    'its commands',
    'its traffic',
    'HTTP process',
  ]
  const milliseconds = (value: number): string => `${value.toPrecision(2)} ms`
  const rows = cluster.results.cluster.rows.map(
    ({ workers, inferencesPerMinute, p50, ofEachInference: each }) => [
      titleOf(workers),
      String(Math.round(inferencesPerMinute)),
      secondsText(p50 / 1000),
      each ? milliseconds(each.redisMilliseconds) : '',
      each ? String(Math.round(each.redisCommands)) : '',
      each ? bytesText(each.redisBytes) : '',
      each ? milliseconds(each.httpMilliseconds) : '',
    ],
  )
  return `${markdownTable([heading, ...rows])}\n\n${source(cluster)}`
}

function titleOf(workers: number): string {
  if (workers === 0) return 'one process for all'
  return workers === 1 ? 'HTTP process and 1 worker process' : `${workers} worker processes`
}
