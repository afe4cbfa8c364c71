import t from 'tap'
import { type ClientProgress, connect, memoryKeyStore, type PolyVeil } from '../../src/client/index.ts'
import type { RunningServer } from '../../src/server/start.ts'
import { image, largestError, MODEL, started } from '../server/refreshed-service.ts'
import { type Pass, proxy, replacingErrors } from './proxies.ts'

// Inferences that are lost while rounds are exchanged, by a network that breaks off and a service that is
// started anew. The service is a real one, and so are the connections.

/** Classifies, and checks the logits. @returns reports of restarts */
async function classified(polyveil: PolyVeil): Promise<ClientProgress[]> {
  const restarts: ClientProgress[] = []
  const onProgress = (state: ClientProgress): void => {
    if (state.stage === 'restart') restarts.push(state)
  }
  const classes = await polyveil.classify(MODEL, image, { onProgress })
  const logits = Float64Array.of(0, 0, 0)
  for (const { index, logit } of classes) logits[index] = logit
  t.ok(largestError(logits) < 0.01, `error ${largestError(logits)}`)
  return restarts
}

/** The encrypted images of queries, and the inferences that rounds belong to. */
function recording(seen: { frames: Set<string>; inferences: Set<string> }): typeof fetch {
  return (url, init) => {
    const path = String(url)
    const rounds = path.match(/inferences\/([^/]+)\/rounds/)
    if (rounds) seen.inferences.add(rounds[1])
    if (path.endsWith('/infer')) {
      const headers = new Headers(init?.headers)
      const body = init?.body as Uint8Array
      seen.frames.add(
        Buffer.from(body.subarray(Number(headers.get('inference-header-content-length')))).toString('hex'),
      )
    }
    return fetch(url, init)
  }
}

t.test(
  'a network that breaks off in the middle of a round loses the inference, not the picture',
  async (t) => {
    const server = await started(t)
    const seen = { frames: new Set<string>(), inferences: new Set<string>() }
    let first: string | undefined
    let dropped = 0
    /** Breaks off every answer to a round of the first inference after a few bytes. */
    const breaking: Pass = (answer, outgoing) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
      const inference = outgoing.req.url?.match(/inferences\/([^/]+)\/rounds/)?.[1]
      first ??= inference
      if (inference === undefined || inference !== first) {
        answer.pipe(outgoing)
        return
      }
      dropped++
      answer.once('data', (chunk: Buffer) => {
        outgoing.write(chunk.subarray(0, 100), () => outgoing.destroy())
        answer.resume()
      })
      answer.once('end', () => outgoing.destroy())
    }
    const between = await proxy(t, server.url, undefined, undefined, breaking)
    const polyveil = await connect(between.url, { keys: memoryKeyStore(), fetch: recording(seen) })
    t.match(await classified(polyveil), [{ reason: 'SERVER_UNREACHABLE', restart: 1, restarts: 2 }])
    t.ok(dropped >= 5, 'a request is repeated before the inference is given up')
    t.equal(seen.frames.size, 2, 'the second query is encrypted anew')
    t.equal(seen.inferences.size, 2)
    await polyveil.close()
  },
)

t.test('a service that is started anew during the rounds gets the picture again, and no keys', async (t) => {
  const directory = t.testdir()
  let server: RunningServer = await started(t, {}, directory)
  const port = Number(new URL(server.url).port)
  const seen = { frames: new Set<string>(), inferences: new Set<string>() }
  const record = recording(seen)
  let uploads = 0
  const restarting: typeof fetch = async (url, init) => {
    if (init?.method === 'POST' && String(url).endsWith('/keys')) uploads++
    const response = await record(url, init)
    if (!String(url).endsWith('/infer') || seen.frames.size > 1) return response
    const body = await response.arrayBuffer()
    await server.close()
    server = await started(t, { port }, directory)
    return new Response(body, response)
  }
  const polyveil = await connect(server.url, { keys: memoryKeyStore(), fetch: restarting })
  t.match(await classified(polyveil), [{ reason: 'INFERENCE_UNKNOWN', restart: 1 }])
  t.equal(seen.frames.size, 2)
  t.equal(uploads, 1, 'the service has kept the keys')
  await polyveil.close()
})

t.test('a proxy that replaces error pages does not hide that an inference is lost', async (t) => {
  const server = await started(t)
  const between = await proxy(t, server.url, undefined, undefined, replacingErrors)
  const seen = { frames: new Set<string>(), inferences: new Set<string>() }
  const record = recording(seen)
  let cancelled = 0
  const cancelling: typeof fetch = async (url, init) => {
    const rounds = String(url).match(/(inferences\/[^/]+)\/rounds/)
    if (rounds && cancelled++ === 0) {
      const { headers } = init ?? {}
      await fetch(`${server.url}/v2/${rounds[1]}`, { method: 'DELETE', headers: keySetOf(headers) })
    }
    return record(url, init)
  }
  const polyveil = await connect(between.url, { keys: memoryKeyStore(), fetch: cancelling })
  t.match(await classified(polyveil), [{ reason: 'INFERENCE_UNKNOWN', restart: 1 }])
  t.equal(seen.frames.size, 2)
  await polyveil.close()
})

const keySetOf = (headers: HeadersInit | undefined): Record<string, string> => ({
  'polyveil-key-set': new Headers(headers).get('polyveil-key-set') ?? '',
})
