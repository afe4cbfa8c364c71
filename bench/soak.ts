import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { buildIfStale } from '../scripts/building/build.ts'
import { importBuilt } from '../scripts/building/import-built.ts'
import { startServer } from '../scripts/demo/server.ts'
import { figure, machine } from './harness.ts'

// Runs a service for minutes with several clients that classify, cancel, and delete and upload keys, and
// reports what its process takes at intervals, and the slope of each figure. A slope that stays above zero in
// a long run is a leak.
//
// node bench/soak.ts [--minutes 5] [--clients 3] [--every 10] [--model digits] [--inferences 7] [--cancel 4]
// [--out FILE]
//
// A client makes new keys after so many inferences, and cancels one of so many, 0 for none.

type Client = typeof import('../src/client/index.ts')

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    clients: { type: 'string', default: '3' },
    every: { type: 'string', default: '10' },
    model: { type: 'string', default: 'digits' },
    inferences: { type: 'string', default: '7' },
    cancel: { type: 'string', default: '4' },
    out: { type: 'string' },
  },
})
const seconds = 60 * Number(values.minutes)
const [clients, every] = [Number(values.clients), Number(values.every)]

/** Inferences between two cancellations, and between two key sets, of a client. */
const [cancelEvery, renewEvery] = [Number(values.cancel), Number(values.inferences)]
/** Share of the run that is left out of slopes: caches fill at first. */
const WARM_UP = 0.3

/** Figures of the service's metrics, in which a leak would show. */
const FIGURES: Readonly<Record<string, string>> = {
  residentBytes: 'process_resident_memory_bytes',
  externalBytes: 'nodejs_external_memory_bytes',
  heapUsedBytes: 'nodejs_heap_size_used_bytes',
  handles: 'nodejs_active_handles_total',
  requests: 'nodejs_active_requests_total',
  fileDescriptors: 'process_open_fds',
  keySets: 'polyveil_key_sets',
  loadedKeySets: 'polyveil_loaded_key_sets',
  keySetBytes: 'polyveil_key_set_bytes',
  arrivingBytes: 'polyveil_arriving_bytes',
  heldEngineBytes: 'polyveil_held_engine_bytes',
  computing: 'polyveil_inferences_computing',
  waiting: 'polyveil_inferences_waiting',
}

type Sample = Readonly<Record<string, number | undefined>> & { readonly seconds: number }

async function sampleOf(url: string, startedAt: number): Promise<Sample> {
  const text = await (await fetch(new URL('/metrics', url))).text()
  const read = (name: string): number | undefined => {
    const [, value] = new RegExp(`^${name} (\\S+)$`, 'm').exec(text) ?? []
    return value === undefined ? undefined : Number(value)
  }
  const figures = Object.entries(FIGURES).map(([name, metric]) => [name, read(metric)])
  return { seconds: Math.round((performance.now() - startedAt) / 1000), ...Object.fromEntries(figures) }
}

/** The slope of the least squares line, per hour. */
function slope(samples: readonly Sample[], name: string): number | undefined {
  const points = samples.flatMap((sample) => {
    const value = sample[name]
    return value === undefined ? [] : [[sample.seconds / 3600, value]]
  })
  if (points.length < 3) return undefined
  const mean = (k: number): number => points.reduce((sum, point) => sum + point[k], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const above = points.reduce((sum, [a, b]) => sum + (a - x) * (b - y), 0)
  return figure(above / points.reduce((sum, [a]) => sum + (a - x) ** 2, 0))
}

await buildIfStale((line) => console.error(line))
const { connect, memoryKeyStore } = await importBuilt<Client>('client/index.js')
const server = await startServer()
const startedAt = performance.now()
const isOver = (): boolean => performance.now() - startedAt > seconds * 1000
const counts = { answered: 0, cancelled: 0, keySets: 0, failed: 0 }
const failures: string[] = []

/** One client: its keys last for some inferences, of which some are given up. */
async function runClient(): Promise<void> {
  while (!isOver()) {
    const polyveil = await connect(server.url, { keys: memoryKeyStore() })
    try {
      await polyveil.keys(values.model)
      counts.keySets++
      const [channels, height, width] = (await polyveil.manifest(values.model)).input.image
      const image = {
        shape: [channels, height, width] as const,
        tensor: new Float64Array(channels * height * width),
      }
      for (let i = 1; i <= renewEvery && !isOver(); i++) {
        const isCancelled = cancelEvery > 0 && i % cancelEvery === 0
        const gone = new AbortController()
        const timer = isCancelled ? setTimeout(() => gone.abort(), 150 + 50 * i) : undefined
        try {
          await polyveil.classify(values.model, image, { topK: 1, signal: gone.signal })
          counts.answered++
        } catch (error) {
          if (!gone.signal.aborted) throw error
          counts.cancelled++
        } finally {
          clearTimeout(timer)
        }
      }
      await polyveil.keySets.delete()
    } catch (error) {
      counts.failed++
      failures.push(String(error))
    } finally {
      await polyveil.close()
    }
  }
}

try {
  const samples: Sample[] = []
  const working = Promise.all(Array.from({ length: clients }, runClient))
  while (!isOver()) {
    samples.push(await sampleOf(server.url, startedAt))
    console.error(JSON.stringify({ ...samples.at(-1), ...counts }))
    await new Promise((resolve) => setTimeout(resolve, every * 1000))
  }
  await working
  samples.push(await sampleOf(server.url, startedAt))
  // The last sample is of an idle service.
  const steady = samples.slice(0, -1).filter(({ seconds: at }) => at > WARM_UP * seconds)
  const slopesPerHour = Object.fromEntries(Object.keys(FIGURES).map((name) => [name, slope(steady, name)]))
  const report = {
    machine: machine(),
    model: values.model,
    clients,
    seconds,
    counts,
    failures,
    slopesPerHour,
    samples,
  }
  const json = `${JSON.stringify(report, null, 2)}\n`
  if (values.out) await writeFile(values.out, json)
  process.stdout.write(json)
} finally {
  await server.stop()
}
