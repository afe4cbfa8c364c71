import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { beginningAgain } from '../../src/client/begin-again.ts'
import { type ClientProgress, connect, memoryKeyStore, PolyVeilError } from '../../src/client/index.ts'
import type { ErrorCodeName } from '../../src/errors/index.ts'
import { FakeServer, ORIGIN, problem, type Seen } from './fake-server.ts'

// An inference that the server or the network loses begins again, with a picture that is encrypted anew.
// test/client/lost-rounds.test.ts tests the same in refresh rounds, with a real service.

const MODEL = 'toy-model'
const image = { width: 3, height: 5, channels: 1 as const, data: new Uint8Array(15).fill(99) }
const NO_WAIT = { 'retry-after': '0' }

/** Answers a query in place of the server, or breaks the connection; undefined lets the server answer. */
type Fault = () => Response | undefined | Promise<Response | undefined>

const saying =
  (code: ErrorCodeName, headers: Record<string, string> = NO_WAIT): Fault =>
  () =>
    problem(new PolyVeilError(code, 'no answer'), headers)

/** A failure of Node's fetch. */
const failing =
  (code: string): Fault =>
  () =>
    Promise.reject(new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) }))

const page = (status: number): Fault => {
  return () => new Response('<html>', { status, headers: { 'content-type': 'text/html', ...NO_WAIT } })
}

/** The encrypted image of a query, which is the end of its body. */
const frameOf = ({ body, headers }: Seen): string =>
  Buffer.from(body.subarray(Number(headers['inference-header-content-length']))).toString('base64')

/** A client whose first queries meet these faults. */
async function meeting(faults: readonly Fault[], signal?: AbortSignal) {
  const server = new FakeServer()
  const queries: Seen[] = []
  server.intercept = (seen) => {
    if (!seen.path.endsWith('/infer')) return undefined
    queries.push(seen)
    return faults[queries.length - 1]?.()
  }
  const polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch, signal })
  await polyveil.keys(MODEL)
  const restarts: ClientProgress[] = []
  const onProgress = (state: ClientProgress): void => {
    if (state.stage === 'restart') restarts.push(state)
  }
  return { server, polyveil, queries, restarts, onProgress }
}

/** Lets the waits between tries end at once. @returns what reports have to be given to */
function hurried(t: Test): (state: ClientProgress) => void {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  return ({ stage, secondsLeft = 0 }) => {
    if (stage === 'restart' || stage === 'wait') setImmediate(() => mock.timers.tick(secondsLeft * 1000))
  }
}

for (const code of ['WORKER_LOST', 'INFERENCE_UNKNOWN'] as const) {
  t.test(`an inference that ends with ${code} begins again, twice at most`, async (t) => {
    for (const losses of [1, 2, 3]) {
      const { polyveil, queries, restarts, onProgress } = await meeting(Array(losses).fill(saying(code)))
      const call = polyveil.classify(MODEL, image, { topK: 1, onProgress })
      if (losses < 3) t.match(await call, [{ label: 'four' }], `after ${losses}`)
      else {
        await t.rejects(call, {
          code,
          message: 'The server says: no answer; the inference was begun 3 times',
          facts: { tries: 3 },
        })
      }
      const tries = Math.min(losses + 1, 3)
      t.equal(queries.length, tries)
      t.equal(new Set(queries.map(frameOf)).size, tries, 'each query is encrypted anew')
      t.equal(new Set(queries.map(({ body }) => body.length)).size, 1, 'and has the same form')
      const bytesTotal = Buffer.from(frameOf(queries[0]), 'base64').length
      t.strictSame(
        restarts,
        Array.from({ length: tries - 1 }, (_, k) => ({
          stage: 'restart',
          round: 0,
          bytesDone: 0,
          reason: code,
          restart: k + 1,
          restarts: 2,
          bytesTotal,
          secondsLeft: 0,
          images: [0],
        })),
      )
      await polyveil.close()
    }
  })
}

t.test('lost connections begin again after a back-off, and Retry-After replaces it', async (t) => {
  const tick = hurried(t)
  for (const fault of [
    failing('ECONNRESET'),
    failing('ECONNREFUSED'),
    failing('EAI_AGAIN'),
    // Browsers do not say what failed.
    () => Promise.reject(new TypeError('Failed to fetch')),
  ]) {
    const { polyveil, queries, restarts, onProgress } = await meeting([fault, fault])
    const watching = (state: ClientProgress): void => {
      onProgress(state)
      tick(state)
    }
    t.match(await polyveil.classify(MODEL, image, { topK: 1, onProgress: watching }), [{ label: 'four' }])
    t.equal(new Set(queries.map(frameOf)).size, 3)
    t.match(restarts, [
      { reason: 'SERVER_UNREACHABLE', restart: 1, secondsLeft: 2 },
      { reason: 'SERVER_UNREACHABLE', restart: 2, secondsLeft: 8 },
    ])
  }
  const later = await meeting([saying('WORKER_LOST', { 'retry-after': '7' })])
  await later.polyveil.classify(MODEL, image, {
    onProgress: (state) => {
      later.onProgress(state)
      tick(state)
    },
  })
  t.match(later.restarts, [{ secondsLeft: 7 }])
})

t.test('a proxy without a server is tried again; one with a shorter time limit is not', async (t) => {
  const tick = hurried(t)
  const away = await meeting([page(502)])
  t.ok(await away.polyveil.classify(MODEL, image, { onProgress: tick }))
  const hasty = await meeting([page(504)])
  await t.rejects(hasty.polyveil.classify(MODEL, image, { onProgress: tick }), { message: /status 504/ })
  t.equal(hasty.queries.length, 1)
})

t.test('errors that a later try would meet, too, are not tried again', async (t) => {
  for (const code of [
    'TENSOR_MALFORMED',
    'FORBIDDEN',
    'UNAUTHENTICATED',
    'KEYS_MISSING',
    'TOO_LARGE',
    'CONFIG_INVALID',
    'INTERNAL',
  ] as const) {
    const { polyveil, queries } = await meeting([saying(code)])
    await t.rejects(polyveil.classify(MODEL, image), { code })
    t.equal(queries.length, 1, code)
  }
  for (const cause of ['DEPTH_ZERO_SELF_SIGNED_CERT', 'EPROTO', 'HPE_INVALID_CONSTANT']) {
    const { polyveil, queries } = await meeting([failing(cause)])
    await t.rejects(polyveil.classify(MODEL, image), { code: 'SERVER_UNREACHABLE' })
    t.equal(queries.length, 1, cause)
  }
})

t.test('an abort ends the back-off at once', async (t) => {
  for (const whose of ['call', 'connection'] as const) {
    const stop = new AbortController()
    const connection = whose === 'connection' ? stop.signal : undefined
    const hour = { 'retry-after': '3600' }
    const { polyveil, queries, server } = await meeting([saying('WORKER_LOST', hour)], connection)
    let sent = 0
    const call = polyveil.classify(MODEL, image, {
      signal: whose === 'call' ? stop.signal : undefined,
      onProgress: ({ stage, secondsLeft }) => {
        if (stage !== 'restart') return
        t.equal(secondsLeft, 60, 'a server cannot ask for a longer wait')
        sent = server.seen.length
        setImmediate(() => stop.abort(new Error('enough')))
      },
    })
    await t.rejects(call, { message: 'enough' }, whose)
    t.equal(queries.length, 1)
    t.equal(server.seen.length, sent, 'nothing is sent afterwards')
  }
})

t.test('an abort during the query is not taken for a lost inference', async (t) => {
  const stop = new AbortController()
  const fault = () => {
    stop.abort(new PolyVeilError('WORKER_LOST', 'enough'))
    return problem(new PolyVeilError('WORKER_LOST', 'lost'), NO_WAIT)
  }
  const { polyveil, queries, restarts, onProgress } = await meeting([fault])
  await t.rejects(polyveil.classify(MODEL, image, { signal: stop.signal, onProgress }), { message: 'enough' })
  t.equal(queries.length, 1)
  t.strictSame(restarts, [])
})

t.test('the tries of an inference and the waits between them share its time limit', async (t) => {
  const server = new FakeServer()
  server.intercept = ({ path }) =>
    path.endsWith('/infer')
      ? problem(new PolyVeilError('WORKER_LOST', ''), { 'retry-after': '60' })
      : undefined
  const limits = { maxInferenceSeconds: 2 }
  const polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch, limits })
  await t.rejects(polyveil.classify(MODEL, image), {
    code: 'SERVER_UNREACHABLE',
    message: /did not finish an inference within 2 seconds/,
  })
  t.equal(server.seen.filter(({ path }) => path.endsWith('/infer')).length, 1)
})

t.test('each of several inferences has its own restarts', async (t) => {
  const lost = saying('WORKER_LOST')
  const twice = [lost, lost, () => undefined]
  const { polyveil, queries, restarts, onProgress } = await meeting([...twice, ...twice, ...twice])
  const images = [image, image, image]
  const results = await polyveil.classifySettled(MODEL, images, { topK: 1, onProgress })
  t.match(results, Array(3).fill({ status: 'fulfilled', value: [{ label: 'four' }] }))
  t.equal(queries.length, 9)
  t.equal(new Set(queries.map(frameOf)).size, 9)
  t.strictSame(
    restarts.map(({ inference, restart }) => [inference, restart]),
    [1, 2, 3].flatMap((inference) => [1, 2].map((restart) => [inference, restart])),
  )
})

t.test('an inference that is lost three times ends the sending, and earlier answers are kept', async (t) => {
  const lost = saying('INFERENCE_UNKNOWN')
  const { polyveil, queries } = await meeting([() => undefined, lost, lost, lost])
  const results = await polyveil.classifySettled(MODEL, [image, image, image], { topK: 1 })
  t.match(results, [
    { status: 'fulfilled' },
    { status: 'rejected', reason: { code: 'INFERENCE_UNKNOWN', facts: { tries: 3 } } },
    { status: 'rejected', reason: { code: 'INFERENCE_UNKNOWN' } },
  ])
  t.equal(queries.length, 4)
})

t.test('lost keys are uploaded for a new query, and do not count as a restart', async (t) => {
  const faults = ['WORKER_LOST', 'KEYS_EXPIRED', 'WORKER_LOST'] as const
  const { polyveil, queries, restarts, onProgress } = await meeting(faults.map((code) => saying(code)))
  t.match(await polyveil.classify(MODEL, image, { topK: 1, onProgress }), [{ label: 'four' }])
  t.equal(new Set(queries.map(frameOf)).size, 4)
  t.equal(restarts.length, 2)
})

t.test('a query of the caller is not sent again', async (t) => {
  const { polyveil, queries } = await meeting([saying('WORKER_LOST')])
  const frame = await polyveil.encrypt(MODEL, image)
  await t.rejects(polyveil.infer(MODEL, frame), {
    code: 'WORKER_LOST',
    message: 'The server says: no answer',
  })
  t.equal(queries.length, 1)
})

t.test('a restart depends on no decrypted value', async (t) => {
  const { server, polyveil, queries } = await meeting([saying('WORKER_LOST')])
  server.slots = new Float64Array(4096).map((_, s) => 90_000 * Math.sin(s * s + 1))
  await t.rejects(polyveil.classify(MODEL, image), { code: 'TENSOR_OUT_OF_RANGE' })
  t.equal(queries.length, 2, 'an answer that is not honest does not begin the inference again')
})

t.test('a full server is waited for up to two minutes, however often it is asked', async (t) => {
  const tick = hurried(t)
  const full = saying('TOO_BUSY', { 'retry-after': '5' })
  const busy = await meeting(Array(24).fill(full))
  t.ok(await busy.polyveil.classify(MODEL, image, { onProgress: tick }))
  t.equal(busy.queries.length, 25)
  t.equal(new Set(busy.queries.map(frameOf)).size, 1, 'the server has not taken the query before')
  const fuller = await meeting(Array(25).fill(full))
  await t.rejects(fuller.polyveil.classify(MODEL, image, { onProgress: tick }), {
    code: 'TOO_BUSY',
    facts: { waitedSeconds: 120 },
  })
  t.equal(fuller.queries.length, 25)
})

t.test('work begins again by the rule that covers its failure', async (t) => {
  const fail = (code: ErrorCodeName) => new PolyVeilError(code, code)
  const failures: Error[] = [fail('TOO_BUSY'), fail('WORKER_LOST'), fail('TOO_BUSY'), fail('TOO_BUSY')]
  const prepared: string[] = []
  const rule = (code: ErrorCodeName, times: number) => ({
    covers: (error: PolyVeilError) => error.code === code,
    times,
    prepare: (error: PolyVeilError, time: number) => void prepared.push(`${error.code} ${time}`),
  })
  const work = async () => {
    const failure = failures.shift()
    if (failure) throw failure
    return 'done'
  }
  const rules = [rule('TOO_BUSY', 2), rule('WORKER_LOST', 1)]
  await t.rejects(beginningAgain(work, rules), { code: 'TOO_BUSY' })
  t.strictSame(prepared, ['TOO_BUSY 1', 'WORKER_LOST 1', 'TOO_BUSY 2'])
  t.equal(await beginningAgain(work, rules), 'done')
  failures.push(new TypeError('a fault of the program'))
  await t.rejects(beginningAgain(work, [{ covers: () => true, times: 9 }]), TypeError)
})
