import { measureKernelSpeeds } from '../src/he-ops/simd/index.ts'
import { goldenNetwork } from '../test/models/support/golden.ts'
import { type Benchmark, type BenchmarkOptions, check, figure } from './harness.ts'
import { chosenNames } from './parts/chosen-names.ts'
import { compiled } from './parts/refreshed/networks.ts'
import { measureNetwork } from './parts/restored/network.ts'
import { RESTORED_NETWORKS, type RestoredNetwork } from './parts/restored/networks.ts'
import { plannedRestoration } from './parts/restored/planned.ts'
import { measureRestoration } from './parts/restored/restoration.ts'

/** The network whose plan has the choices of the single restorations. */
const PLANNED_NETWORK = 'micro_t'
const PRECISION_BITS = 8
/** Timed runs of a restoration with each number of threads. */
const RUNS = 3

const RESTORATIONS = [32768, 65536].map((ring) => ({ name: `restoration-${ring}`, ring }))

type Say = (line: string) => void

/**
 * Restorations of levels at the server: one of them alone in each ring, then whole networks with one query
 * and one answer. Results are checked before they are reported.
 */
export const restored: Benchmark = {
  name: 'restored',
  what: 'levels restored at the server: one restoration in each ring, and networks without rounds (--only NAMES, --count N, --large, --circuits DIR)',
  async run(say, options) {
    const chosen = chosenParts(options)
    return {
      restorations: await restorations(
        RESTORATIONS.filter(({ name }) => chosen.includes(name)),
        say,
      ),
      networks: await networks(
        RESTORED_NETWORKS.filter(({ name }) => chosen.includes(name)),
        options,
        say,
      ),
    }
  },
}

/** Names of what is measured. Large networks are measured with `--large` or by their name. */
function chosenParts({ only, large = false }: BenchmarkOptions): readonly string[] {
  const names = chosenNames(
    [...RESTORATIONS, ...RESTORED_NETWORKS].map(({ name }) => name),
    only,
  )
  if (only !== undefined || large) return names
  return names.filter((name) => !RESTORED_NETWORKS.some((each) => each.name === name && each.isLarge))
}

async function restorations(parts: typeof RESTORATIONS, say: Say): Promise<object> {
  if (parts.length === 0) return { rows: [] }
  const speeds = await measureKernelSpeeds()
  const network = await goldenNetwork(PLANNED_NETWORK)
  const rows: object[] = []
  for (const { ring } of parts) {
    const planned = plannedRestoration(network, ring, PRECISION_BITS)
    rows.push(await measureRestoration(planned, RUNS, speeds, say))
  }
  return { plannedFor: PLANNED_NETWORK, kernelSpeeds: speeds, rows }
}

async function networks(
  parts: readonly RestoredNetwork[],
  { count, circuits }: BenchmarkOptions,
  say: Say,
): Promise<object[]> {
  const rows: object[] = []
  for (const { name, images, task } of parts) {
    const most = count === undefined ? images : Number(count)
    check(Number.isInteger(most) && most > 0, `--count is a number of images (${count})`)
    const prepared = await task(most)
    if (typeof prepared === 'string') {
      say(`${name}: skipped, ${prepared}`)
      rows.push({ name, skipped: prepared })
      continue
    }
    const { compileSeconds, ...ready } = await compiled(prepared, circuits)
    say(
      `${name}: ${compileSeconds === undefined ? 'compiled before' : `compiled in ${figure(compileSeconds)} s`}`,
    )
    const row = await measureNetwork(name, { ...ready, compileSeconds })
    say(`${name}: ${row.seconds.execute} s, error ${row.errorInDeviations.largest} deviations`)
    rows.push(row)
  }
  return rows
}
