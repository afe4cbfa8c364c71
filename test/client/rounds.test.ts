import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Circuit, manifestOf } from '../../src/circuit/index.ts'
import { checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import {
  type ClientProgress,
  connect,
  KeyRing,
  LocalModel,
  memoryKeyStore,
  type PolyVeil,
} from '../../src/client/index.ts'
import { encodeTensor, maskedSpec } from '../../src/wire/index.ts'
import { circuit, image, largestError, MODEL, manifest, sizes, started } from '../server/refreshed-service.ts'

const { parameters } = circuit

/**
 * A request as an observer of the network sees it: everything except ids and the values of encrypted bytes.
 */
interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly bytes: number
}

type Alter = (path: string, response: Response) => Response | Promise<Response>

/** A client of a real server. All requests are recorded, and `alter` may change the answers. */
async function connected(t: Test, alter: Alter = (_, response) => response, overrides = {}, limits = {}) {
  const server = await started(t, overrides)
  const seen: Seen[] = []
  const line = { alter }
  const recording: typeof fetch = async (url, init) => {
    const request = new Request(url, init as RequestInit)
    const path = new URL(request.url).pathname
    const body = (init?.body ?? '') as string | Uint8Array
    const headers = Object.fromEntries(request.headers)
    seen.push({
      method: request.method,
      path: path.replace(/(keys|inferences)\/[^/]+/, '$1/ID'),
      headers: { ...headers, ...(headers['polyveil-key-set'] && { 'polyveil-key-set': 'ID' }) },
      bytes: body.length,
    })
    return line.alter(path, await fetch(url, init))
  }
  const polyveil = await connect(server.url, { keys: memoryKeyStore(), fetch: recording, limits })
  t.teardown(() => polyveil.close())
  return { server, seen, line, polyveil }
}

/** Whether an answer has a masked tensor or logits. */
const hasTensor = ({ headers }: Response): boolean => headers.has('inference-header-content-length')

/** The parts of a binary answer. */
async function partsOf(response: Response) {
  const length = Number(response.headers.get('inference-header-content-length'))
  const bytes = Buffer.from(await response.arrayBuffer())
  return { json: JSON.parse(bytes.subarray(0, length).toString()), frame: bytes.subarray(length) }
}

function binary(json: object, frame: Uint8Array): Response {
  const header = Buffer.from(JSON.stringify(json))
  return new Response(Buffer.concat([header, frame]), {
    headers: { 'inference-header-content-length': String(header.length) },
  })
}

/** A masked tensor that decrypts to noise. */
function noise(round: number): Uint8Array {
  const spec = maskedSpec(manifest, round)
  const polynomial = () => {
    const halves = new Uint32Array(2 * parameters.ring * (spec.level + 1))
    const random = new Uint32Array(Uint8Array.from(randomBytes(halves.length * 2)).buffer)
    random.forEach((word, i) => {
      halves[2 * i] = word % Number(parameters.primes[Math.floor(i / parameters.ring)])
    })
    return halves
  }
  const pairs = Array.from({ length: spec.ciphertexts }, () => ({ c0: polynomial(), c1: polynomial() }))
  return encodeTensor(parameters, spec, pairs)
}

/** Replaces masked tensors by noise. */
const garbling: Alter = async (_, response) => {
  if (!hasTensor(response)) return response
  const { json, frame } = await partsOf(response)
  return binary(json, json.parameters ? noise(json.parameters.round) : frame)
}

/**
 * The state of an inference once it is cancelled. Clients do not wait for the answer to their cancellation.
 */
async function cancelled(url: string, id: string, polyveil: PolyVeil): Promise<object> {
  const headers = { 'polyveil-key-set': (await polyveil.keys(MODEL)).id }
  for (;;) {
    const state = await (await fetch(`${url}/v2/inferences/${id}`, { headers })).json()
    if (state.state === 'cancelled') return state
    await sleep(20)
  }
}

t.test('an image is classified in two rounds', async (t) => {
  const { polyveil, seen } = await connected(t)
  const progress: ClientProgress[] = []
  const best = await polyveil.classify(MODEL, image, { onProgress: (p) => progress.push(p) })
  const logits = Float64Array.of(0, 0, 0)
  for (const { index, logit } of best) logits[index] = logit
  t.ok(largestError(logits) < 0.01, `error ${largestError(logits)}`)
  t.strictSame(
    seen.slice(-4).map(({ method, path }) => `${method} ${path}`),
    [
      `POST /v2/models/${MODEL}/infer`,
      'GET /v2/inferences/ID/rounds/1',
      'POST /v2/inferences/ID/rounds/0',
      'POST /v2/inferences/ID/rounds/1',
    ],
  )
  t.strictSame(
    [...new Set(progress.map(({ stage }) => stage))],
    ['encrypt', 'keys', 'infer', 'refresh', 'decrypt'],
  )
  const refresh = progress.filter(({ stage }) => stage === 'refresh')
  const total = sizes.response + sizes.rounds.reduce((sum, { up, down }) => sum + up + down, 0)
  t.strictSame(
    refresh.map(({ round, rounds, bytesDone }) => [round, rounds, bytesDone]),
    [
      [1, 2, sizes.rounds[0].down],
      [1, 2, sizes.rounds[0].down + sizes.rounds[0].up],
      [2, 2, sizes.rounds[0].down + sizes.rounds[0].up + sizes.rounds[1].down],
      [2, 2, total - sizes.response],
      [2, 2, total],
    ],
  )
  t.ok(refresh.every(({ bytesTotal }) => bytesTotal === total))
})

t.test('replies to noise have the same shapes and order as replies to masked tensors', async (t) => {
  const traffic = async (alter?: Alter) => {
    const { polyveil, seen, line } = await connected(t, alter)
    const outcome = await polyveil.classify(MODEL, image).then(
      () => 'a label',
      ({ code }) => code,
    )
    line.alter = (_, response) => response
    await polyveil.classify(MODEL, image)
    return { outcome, seen }
  }
  const good = await traffic()
  const garbage = await traffic(garbling)
  t.equal(good.outcome, 'a label')
  t.equal(garbage.outcome, 'TENSOR_OUT_OF_RANGE')
  t.equal(good.seen.length, 4 + 2 * 4)
  t.strictSame(
    garbage.seen.map((each) => ({ ...each, headers: { ...each.headers, host: '' } })),
    good.seen.map((each) => ({ ...each, headers: { ...each.headers, host: '' } })),
  )
})

t.test('rounds that are not in the manifest, and malformed frames, are refused', async (t) => {
  const { polyveil, line, seen } = await connected(t)
  await polyveil.keys(MODEL)
  const cases: [string, string, (said: Awaited<ReturnType<typeof partsOf>>) => Response | undefined][] = [
    [
      'one round too many',
      'TENSOR_MALFORMED',
      ({ json, frame }) =>
        json.parameters
          ? undefined
          : binary(
              {
                ...json,
                parameters: { state: 'refresh', round: 2, rounds: 3 },
                outputs: [{ ...json.outputs[0], name: 'refresh' }],
              },
              frame,
            ),
    ],
    [
      'the same round again',
      'TENSOR_MALFORMED',
      ({ json, frame }) =>
        binary({ ...json, parameters: json.parameters && { ...json.parameters, round: 0 } }, frame),
    ],
    [
      'more rounds in all',
      'TENSOR_MALFORMED',
      ({ json, frame }) =>
        binary({ ...json, parameters: json.parameters && { ...json.parameters, rounds: 3 } }, frame),
    ],
    [
      'an end before the last round',
      'TENSOR_MALFORMED',
      ({ json, frame }) =>
        binary({ ...json, parameters: undefined, outputs: [{ ...json.outputs[0], name: 'logits' }] }, frame),
    ],
    [
      'a larger frame',
      'TENSOR_MALFORMED',
      ({ json, frame }) => {
        const longer = Buffer.concat([frame, Buffer.alloc(16)])
        return binary(
          {
            ...json,
            outputs: [{ ...json.outputs[0], parameters: { binary_data_size: longer.length } }],
          },
          longer,
        )
      },
    ],
    ['far too large a reply', 'TOO_LARGE', ({ json }) => binary(json, new Uint8Array(3e6))],
    [
      'noise without a form',
      'TENSOR_MALFORMED',
      ({ json, frame }) => binary(json, randomBytes(frame.length)),
    ],
  ]
  for (const [name, code, change] of cases) {
    line.alter = async (_, response) => {
      if (!hasTensor(response)) return response
      const said = await partsOf(response)
      return change(said) ?? binary(said.json, said.frame)
    }
    await t.rejects(
      polyveil.infer(MODEL, await polyveil.encrypt(MODEL, image)).then((a) => polyveil.decrypt(MODEL, a)),
      { code },
      name,
    )
  }
  const told = seen.filter(({ method, path }) => method === 'DELETE' && path === '/v2/inferences/ID')
  t.equal(told.length, cases.length, 'each inference is cancelled at the server')
})

t.test('a request that breaks off in a round is repeated, and the result is the same', async (t) => {
  const { polyveil, line, seen } = await connected(t)
  let broken = 0
  const tries = new Map<string, number>()
  line.alter = async (path, response) => {
    if (!path.includes('/rounds/')) return response
    broken++
    const times = (tries.get(path) ?? 0) + 1
    tries.set(path, times)
    // Two requests for round 1 have that path: one fetches the tensor, the other replies.
    if (times % 2 === 0) return response
    await response.arrayBuffer()
    throw new TypeError('the connection was reset')
  }
  const frame = await polyveil.encrypt(MODEL, image)
  const logits = await polyveil.decrypt(MODEL, await polyveil.infer(MODEL, frame))
  t.ok(largestError(logits) < 0.01)
  t.equal(broken, 6)
  t.equal(seen.filter(({ path }) => path.includes('/rounds/')).length, 6)
})

t.test('thirty inferences in sequence make four requests each', async (t) => {
  const { polyveil, seen } = await connected(t)
  await polyveil.keys(MODEL)
  const before = seen.length
  for (let i = 0; i < 30; i++) t.equal((await polyveil.classify(MODEL, image)).length, 3)
  t.equal(seen.length, before + 30 * 4)
})

t.test('aborting a call cancels its inference at the server', async (t) => {
  const { polyveil, line, server } = await connected(t)
  const stop = new AbortController()
  let id = ''
  line.alter = async (path, response) => {
    if (!path.endsWith('/infer')) return response
    const { json, frame } = await partsOf(response)
    id = json.id
    stop.abort(new Error('enough'))
    return binary(json, frame)
  }
  await t.rejects(polyveil.classify(MODEL, image, { signal: stop.signal }), { message: 'enough' })
  t.match(await cancelled(server.url, id, polyveil), { round: 0 })
  line.alter = (_, response) => response
  t.equal((await polyveil.classify(MODEL, image)).length, 3)
})

t.test('an inference ends at its time limit, even if the server answers every request', async (t) => {
  const { polyveil, line, server } = await connected(t, undefined, {}, { maxInferenceSeconds: 6 })
  await polyveil.keys(MODEL)
  let id = ''
  line.alter = async (path, response) => {
    if (!hasTensor(response)) return response
    if (!path.endsWith('/infer')) await sleep(6000)
    const { json, frame } = await partsOf(response)
    id ||= json.id
    return binary(json, frame)
  }
  await t.rejects(polyveil.classify(MODEL, image), {
    code: 'SERVER_UNREACHABLE',
    message: /did not finish an inference within 6 seconds/,
    facts: { reason: 'slow', seconds: 6 },
  })
  t.not(id, '', 'the query was answered in time')
  if (id !== '') await cancelled(server.url, id, polyveil)
})

t.test('classify begins an inference that the server forgot again, twice at most', async (t) => {
  const { polyveil, line, server, seen } = await connected(t)
  const queries = () => seen.filter(({ path }) => path.endsWith('/infer')).length
  let forgotten = 0
  let losses = 1
  const restarts: ClientProgress[] = []
  const onProgress = (state: ClientProgress): void => {
    if (state.stage === 'restart') restarts.push(state)
  }
  line.alter = async (path, response) => {
    if (!path.endsWith('/infer') || forgotten === losses) return response
    forgotten++
    const { json, frame } = await partsOf(response)
    const headers = { 'polyveil-key-set': (await polyveil.keys(MODEL)).id }
    await fetch(`${server.url}/v2/inferences/${json.id}`, { method: 'DELETE', headers })
    return binary(json, frame)
  }
  t.equal((await polyveil.classify(MODEL, image, { onProgress })).length, 3)
  t.match(restarts, [{ reason: 'INFERENCE_UNKNOWN', restart: 1 }])
  t.equal(queries(), 2)
  losses = 4
  await t.rejects(polyveil.classify(MODEL, image), { code: 'INFERENCE_UNKNOWN', facts: { tries: 3 } })
  t.equal(queries(), 2 + 3)
  line.alter = (_, response) => response
  t.equal((await polyveil.classify(MODEL, image)).length, 3, 'the next call is not affected')
})

t.test('refresh computes a single round', async (t) => {
  const { polyveil } = await connected(t)
  await polyveil.keys(MODEL)
  t.equal((await polyveil.refresh(MODEL, 1, noise(1))).length, sizes.rounds[1].up)
  await t.rejects(polyveil.refresh(MODEL, 1, noise(0)), { code: 'TENSOR_MALFORMED' })
  await t.rejects(polyveil.refresh(MODEL, 2, noise(1)), { code: 'CONFIG_INVALID' })
})

t.test('rounds with primes that the kernels do not support are refused', async (t) => {
  const primes = nttPrimes(8192, [50, 40, 30, 60]).map(String)
  const large = checkParameters({ ring: 8192, primes: primes.slice(0, 3), specialPrimes: primes.slice(3) })
  const { input, output } = circuit
  const forLarge: Circuit = {
    ...circuit,
    parameters: large,
    input: { ...input, level: 2 },
    output: { ...output, level: 2 },
    refresh: { level: 1 },
  }
  t.throws(() => new LocalModel(manifestOf(forLarge), new KeyRing(memoryKeyStore())), {
    code: 'CONFIG_INVALID',
    message: /more than 30 bits/,
  })
})
