import { subscribe } from 'node:diagnostics_channel'
import { importBuilt } from '../../../scripts/building/import-built.ts'
import { peakResidentBytes } from '../../../src/he-ops/peak-memory.ts'

// A client in its own process. It makes keys, classifies the images that it is sent, and reports its
// measurements.

type Client = typeof import('../../../src/client/index.ts')

/** The only message to the process. */
export interface ClientTask {
  readonly url: string
  readonly model: string
  /** Images as the model takes them. */
  readonly images: readonly {
    readonly shape: readonly [number, number, number]
    readonly tensor: Float64Array
  }[]
}

/** Seconds of one classification. */
export interface Classification {
  readonly logits: Float64Array
  readonly total: number
  /** Core seconds of the client. Rounds overlap, so both sides may compute at once. */
  readonly clientCores: number
  readonly serverCores: number
  readonly requests: number
}

/** The only message from the process. */
export interface ClientReport {
  readonly keySeconds: number
  readonly classifications: readonly Classification[]
  readonly peakRssBytes: number
}

process.once('message', async (task: ClientTask) => {
  process.send!(await classifyAll(task))
  process.disconnect()
})

async function classifyAll({ url, model, images }: ClientTask): Promise<ClientReport> {
  const { connect, memoryKeyStore } = await importBuilt<Client>('client/index.js')
  let requests = 0
  // Node's fetch announces its requests. A fetch of the caller's would be sent bodies in another form.
  subscribe('undici:request:create', () => {
    requests++
  })
  await using polyveil = await connect(url, { keys: memoryKeyStore() })
  const begin = performance.now()
  await polyveil.keys(model)
  const keySeconds = secondsSince(begin)
  const classifications: Classification[] = []
  for (const image of images) {
    const before = { client: process.cpuUsage(), server: await serverCores(url) }
    requests = 0
    const start = performance.now()
    const query = await polyveil.encrypt(model, image)
    const answer = await polyveil.infer(model, query)
    const logits = await polyveil.decrypt(model, answer, { fullPrecision: true })
    const total = secondsSince(start)
    const { user, system } = process.cpuUsage(before.client)
    const sent = requests
    classifications.push({
      logits,
      total,
      clientCores: (user + system) / 1e6,
      serverCores: (await serverCores(url)) - before.server,
      requests: sent,
    })
  }
  return { keySeconds, classifications, peakRssBytes: peakResidentBytes() }
}

/** Seconds that the server's process has computed, summed over cores. */
async function serverCores(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^process_cpu_seconds_total (\S+)/m.exec(metrics)![1])
}

const secondsSince = (start: number): number => (performance.now() - start) / 1000
