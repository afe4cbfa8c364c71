import { markdownTable } from './markdown.ts'
import type { RefreshedNetwork, Result } from './results.ts'
import { bytesText, secondsText } from './units.ts'

/** The machine, dates and files of runs on machines of one kind. */
export function source(...runs: readonly Pick<Result<unknown>, 'machine' | 'date' | 'file'>[]): string {
  const [{ machine }] = runs
  const { processor, cores, node } = machine
  const files = runs.map(({ file }) => `\`bench/results/${file}\``).join(', ')
  const loads = runs.map((run) => run.machine.loadBefore).join(', ')
  const dates = [...new Set(runs.map(({ date }) => date))].join(', ')
  return `Machine: ${processor}, ${cores} cores, Node ${node.slice(1)}, load average before: ${loads}. Date: ${dates}. Source: ${files}.`
}

/**
 * Figures of networks with refreshes, a column for each.
 *
 * @param runs that the networks are from
 * @param title of a network
 * @param facts rows of what was not measured, above the figures
 */
export function refreshedTable(
  runs: readonly Result<unknown>[],
  networks: readonly RefreshedNetwork[],
  title = (name: string): string => `\`${name}\``,
  facts: readonly string[][] = [],
): string {
  const row = (what: string, cell: (network: RefreshedNetwork) => string): string[] => [
    what,
    ...networks.map(cell),
  ]
  const isStaged = networks.some(({ stages }) => stages !== undefined)
  const compiled = networks.every(({ compileSeconds }) => compileSeconds !== undefined)
  const table = markdownTable([
    row('', ({ name }) => title(name)),
    ...facts,
    ...(compiled ? [row('compile', ({ compileSeconds = 0 }) => secondsText(compileSeconds))] : []),
    row('making and uploading keys', (n) => secondsText(n.keysMadeAndUploadedSeconds)),
    row('whole classification, median', (n) => secondsText(n.seconds.total)),
    row('the first classification', (n) => secondsText(n.firstSeconds)),
    row('seconds of cores: service, client', ({ seconds }) =>
      [seconds.serverCores, seconds.clientCores].map(secondsText).join(', '),
    ),
    row('images; labels as in the clear', (n) => `${n.images}; ${n.sameLabel}`),
    row('largest error of a logit, in deviations', (n) =>
      String(Number(n.largestErrorInDeviations.toPrecision(2))),
    ),
    row('rounds', ({ rounds }) => String(rounds)),
    ...(networks.every(({ refreshDepth }) => refreshDepth !== undefined)
      ? [row('rounds one after another', ({ refreshDepth = 0 }) => String(refreshDepth))]
      : []),
    row('refreshed ciphertexts', (n) => String(n.refreshedCiphertexts)),
    row('keys', ({ bytes }) => bytesText(bytes.keys)),
    row('refreshes up, down', ({ bytes }) => [bytes.up, bytes.down].map(bytesText).join(', ')),
    row(isStaged ? 'memory of the engine: stated, measured' : 'memory of the engine, stated', (n) =>
      [n.engineMemoryStatedBytes, ...(n.stages ? [n.stages.enginePeakBytes] : [])].map(bytesText).join(', '),
    ),
    row('memory of the service: stated, peak', (n) =>
      [n.serverMemoryStatedBytes, n.serverPeakRssBytes].map(bytesText).join(', '),
    ),
  ])
  return `${table}\n\n${source(...runs)}`
}
