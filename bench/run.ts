import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { accuracy } from './accuracy.ts'
import { batches } from './batches.ts'
import { cluster } from './cluster.ts'
import { encoding } from './encoding.ts'
import { engine } from './engine.ts'
import { type Benchmark, machine } from './harness.ts'
import { instructions } from './instructions.ts'
import { kernels } from './kernels.ts'
import { keys } from './keys.ts'
import { load } from './load.ts'
import { oneShot } from './one-shot.ts'
import { plans } from './plans.ts'
import { profile } from './profile.ts'
import { refreshed } from './refreshed.ts'
import { restored } from './restored.ts'
import { service } from './service.ts'

const BENCHMARKS: readonly Benchmark[] = [
  encoding,
  engine,
  kernels,
  instructions,
  plans,
  profile,
  keys,
  oneShot,
  batches,
  service,
  load,
  cluster,
  accuracy,
  refreshed,
  restored,
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string' },
    list: { type: 'boolean' },
    images: { type: 'string' },
    count: { type: 'string' },
    circuits: { type: 'string' },
    only: { type: 'string' },
    networks: { type: 'string' },
    precision: { type: 'string' },
    link: { type: 'string' },
    notes: { type: 'string' },
    brief: { type: 'boolean' },
    large: { type: 'boolean' },
  },
})

if (values.list) {
  const width = 2 + Math.max(...BENCHMARKS.map(({ name }) => name.length))
  for (const { name, what } of BENCHMARKS) console.log(`${name.padEnd(width)}${what}`)
} else {
  const unknown = positionals.find((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name))
  if (unknown) throw new Error(`No benchmark is called ${unknown}; --list names them`)
  const chosen = BENCHMARKS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
  const results: Record<string, object> = {}
  const head = { machine: machine(), date: new Date().toISOString().slice(0, 10), notes: values.notes }
  for (const benchmark of chosen) {
    console.error(`${benchmark.name}: ${benchmark.what}`)
    results[benchmark.name] = await benchmark.run((line) => console.error(`  ${line}`), values)
  }
  const report = `${JSON.stringify({ ...head, results }, null, 2)}\n`
  if (values.out) await writeFile(values.out, report)
  process.stdout.write(report)
}
