import { importBuilt } from '../../../scripts/building/import-built.ts'

// A client in a process of its own: makes keys, classifies what it is sent, and says what that took.

type Client = typeof import('../../../src/client/index.ts')

/** What the process is sent, once. */
export interface ClientTask {
  readonly url: string
  readonly model: string
  /** As the model takes them. */
  readonly images: readonly {
    readonly shape: readonly [number, number, number]
    readonly tensor: Float64Array
  }[]
}

/** One classification, in seconds. */
export interface Classification {
  readonly logits: Float64Array
  readonly total: number
  /** Of that, waiting for the server and the link. */
  readonly server: number
  readonly requests: number
}

/** What the process answers, once. */
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
  const waited = new WaitingClock()
  using polyveil = await connect(url, { keys: memoryKeyStore(), fetch: waited.fetch })
  const begin = performance.now()
  await polyveil.keys(model)
  const keySeconds = secondsSince(begin)
  const classifications: Classification[] = []
  for (const image of images) {
    waited.reset()
    const start = performance.now()
    const query = await polyveil.encrypt(model, image)
    const logits = await polyveil.decrypt(model, await polyveil.infer(model, query))
    const total = secondsSince(start)
    classifications.push({ logits, total, server: waited.seconds, requests: waited.requests })
  }
  return { keySeconds, classifications, peakRssBytes: process.resourceUsage().maxRSS * 1024 }
}

/** Counts the seconds in which requests are under way; a client has one at a time. */
class WaitingClock {
  seconds = 0
  requests = 0

  reset(): void {
    this.seconds = 0
    this.requests = 0
  }

  readonly fetch: typeof fetch = async (resource, init) => {
    const start = performance.now()
    const { status, headers, ...answer } = await whole(await fetch(resource, init))
    this.seconds += secondsSince(start)
    this.requests++
    return new Response(answer.body, { status, headers })
  }
}

/** An answer with its body, which no longer has to be waited for. */
async function whole(response: Response) {
  const { status, headers } = response
  const body = status === 204 ? null : await response.arrayBuffer()
  return { status, headers, body }
}

const secondsSince = (start: number): number => (performance.now() - start) / 1000
