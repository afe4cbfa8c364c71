import { measureKernelSpeeds } from '../src/he-ops/simd/index.ts'
import { type Benchmark, type BenchmarkOptions, check, figure } from './harness.ts'
import { chosenNames } from './parts/chosen-names.ts'
import { compiled } from './parts/refreshed/networks.ts'
import { measureNetwork } from './parts/restored/network.ts'
import { RESTORED_NETWORKS, type RestoredNetwork } from './parts/restored/networks.ts'
import { plannedRestoration } from './parts/restored/planned.ts'
import { measureRestoration } from './parts/restored/restoration.ts'

/** Precision of the plans whose choices the single restorations have. */
const PRECISION_BITS = 8
/** Timed runs of a restoration with each number of threads. */
const RUNS = 3

/** The restorations that are measured alone. Each has the choices of a network's plan. */
const RESTORATIONS: readonly { readonly name: string; readonly ring: number; readonly plannedFor: string }[] =
  [
    { name: 'restoration-32768', ring: 32768, plannedFor: 'micro_t' },
    { name: 'restoration-65536', ring: 65536, plannedFor: 't224' },
  ]

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

async function restorations(parts: typeof RESTORATIONS, say: Say): Promise<object[]> {
  if (parts.length === 0) return []
  const speeds = await measureKernelSpeeds()
  const rows: object[] = []
  for (const { name, ring, plannedFor } of parts) {
    const task = await RESTORED_NETWORKS.find((each) => each.name === plannedFor)!.task(1)
    if (typeof task === 'string') {
      say(`${name}: skipped, ${task}`)
      rows.push({ name, skipped: task })
      continue
    }
    const planned = plannedRestoration(task.network, ring, PRECISION_BITS)
    say(`${name}: planned for ${plannedFor}`)
    const row = await measureRestoration(planned, RUNS, speeds, say)
    rows.push({ name, plannedFor, kernelSpeeds: speeds, ...row })
  }
  return rows
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
