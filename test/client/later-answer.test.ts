import t, { type Test } from 'tap'
import { connect, memoryKeyStore, type PolyVeil } from '../../src/client/index.ts'
import { circuit, image, largestError, MODEL } from '../server/refreshed-service.ts'
import { serving } from '../server/serving.ts'

// A circuit whose plan says that it takes long: its answers are fetched by requests of their own.
const slow = { ...circuit, estimate: { ...circuit.estimate, seconds: 30 } }
const server = await serving(t as Test, slow)
// Clients with one key store make their keys once.
const keys = memoryKeyStore()

interface Seen {
  readonly method: string
  readonly path: string
  readonly prefer: string | null
  readonly status: number
}

/** A client, and the requests for inferences that it sends. @param change changes answers */
async function client(
  url: string,
  change: (seen: Seen, answer: Response) => Response | Promise<Response> = (_, answer) => answer,
): Promise<{ polyveil: PolyVeil; seen: Seen[] }> {
  const seen: Seen[] = []
  const recording: typeof fetch = async (input, init) => {
    const answer = await fetch(input, init)
    const request = {
      method: init?.method ?? 'GET',
      path: new URL(String(input)).pathname.replace(/[0-9a-f]{32}/, 'ID'),
      prefer: new Headers(init?.headers).get('prefer'),
      status: answer.status,
    }
    if (/infer/.test(request.path)) seen.push(request)
    return change(request, answer)
  }
  const polyveil = await connect(url, { keys, fetch: recording })
  t.teardown(() => polyveil.close())
  return { polyveil, seen }
}

async function errorOf(polyveil: PolyVeil): Promise<number> {
  const logits = Float64Array.of(0, 0, 0)
  for (const { index, logit } of await polyveil.classify(MODEL, image)) logits[index] = logit
  return largestError(logits)
}

t.test('a long inference needs no open connection', async (t) => {
  const { polyveil, seen } = await client(server.url)
  t.ok((await errorOf(polyveil)) < 0.02)
  t.match(seen[0], {
    method: 'POST',
    path: `/v2/models/${MODEL}/infer`,
    prefer: 'respond-async',
    status: 202,
  })
  t.match(seen[1], { method: 'GET', path: '/v2/inferences/ID', status: 200 })
  const outputs = seen.filter(({ method, path }) => method === 'GET' && path.endsWith('/rounds/0'))
  t.match(outputs, [{ status: 200 }], 'the first output is fetched once')
  t.notOk(seen.some(({ method }) => method === 'DELETE'))
})

t.test('a short one is answered by its own request', async (t) => {
  const server = await serving(t, circuit)
  const { polyveil, seen } = await client(server.url)
  t.ok((await errorOf(polyveil)) < 0.02)
  t.match(seen[0], { prefer: null, status: 200 })
})

t.test('a server that does not know the preference is understood', async (t) => {
  const seen: (string | null)[] = []
  const without: typeof fetch = (input, init) => {
    const headers = new Headers(init?.headers)
    if (/\/infer$/.test(String(input))) {
      seen.push(headers.get('prefer'))
      headers.delete('prefer')
    }
    return fetch(input, { ...init, headers })
  }
  const polyveil = await connect(server.url, { keys, fetch: without })
  t.teardown(() => polyveil.close())
  t.ok((await errorOf(polyveil)) < 0.02)
  t.strictSame(seen, ['respond-async'])
})

t.test('a client that gives up ends its inference on the server', async (t) => {
  const gone = new AbortController()
  const { polyveil, seen } = await client(server.url, ({ path, method }, answer) => {
    if (method === 'GET' && path === '/v2/inferences/ID') gone.abort(new Error('enough'))
    return answer
  })
  await t.rejects(polyveil.classify(MODEL, image, { signal: gone.signal }), { message: 'enough' })
  t.match(seen.at(-1), { method: 'DELETE', path: '/v2/inferences/ID', status: 204 })
})

t.test('a nonsensical state is refused', async (t) => {
  const { polyveil } = await client(server.url, ({ path }, answer) =>
    path === '/v2/inferences/ID' ? new Response('{"state":5}', { status: 200 }) : answer,
  )
  await t.rejects(polyveil.classify(MODEL, image), { code: 'TENSOR_MALFORMED' })
})
