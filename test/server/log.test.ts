import t from 'tap'
import { PolyVeilError } from '../../src/errors/index.ts'
import { type Harness, harness, query, uploadKeys } from './support.ts'

/** The lines of the log with a message. */
const lines = (h: Harness, message: string): Record<string, unknown>[] =>
  h
    .log()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
    .filter(({ msg }) => msg === message)

const WARN = 40
const ERROR = 50

t.test('each inference has a line that says how it ended', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  await h.inject(query(keys, { header: { id: 'good' } }))
  h.engine.work = () => Promise.reject(new PolyVeilError('TENSOR_MALFORMED', 'A residue is too large'))
  await h.inject(query(keys, { header: { id: 'bad' } }))
  h.engine.work = () => Promise.reject(new TypeError('a fault'))
  await h.inject(query(keys, { header: { id: 'fault' } }))
  const ended = lines(h, 'An inference ended')
  t.match(ended, [
    { inference: 'good', outcome: 'ok' },
    { inference: 'bad', outcome: 'TENSOR_MALFORMED' },
    { inference: 'fault', outcome: 'INTERNAL' },
  ])
  for (const line of ended) {
    t.match(line, { model: 'small', keySet: /^[0-9a-f]{12}$/, rounds: 0, seconds: Number, reqId: String })
  }
  t.notMatch(h.log(), keys)
})

t.test('a server without room logs a short line, and a fault its stack', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  for (const code of ['TOO_BUSY', 'WORKER_LOST'] as const) {
    h.engine.work = () => Promise.reject(new PolyVeilError(code, 'no room now'))
    t.equal((await h.inject(query(keys))).statusCode, 503)
  }
  const refusals = lines(h, 'The request was not served')
  t.match(refusals, [
    { level: WARN, code: 'TOO_BUSY', status: 503, detail: 'no room now' },
    { level: WARN, code: 'WORKER_LOST', status: 503 },
  ])
  t.ok(refusals.every((line) => JSON.stringify(line).length < 400 && !('err' in line)))
  h.engine.work = () => Promise.reject(new TypeError('a fault'))
  t.equal((await h.inject(query(keys))).statusCode, 500)
  const [fault, ...others] = lines(h, 'The request failed by a fault of the server')
  t.match(fault, { level: ERROR, err: { message: 'a fault', stack: /TypeError/ } })
  t.equal(others.length, 0)
})
