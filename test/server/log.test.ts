import { spawnSync } from 'node:child_process'
import { existsSync, openSync } from 'node:fs'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
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

/** All texts of a log line, those included that are lists of bytes, base64 or hex. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string') {
    return [
      value,
      Buffer.from(value, 'base64').toString('latin1'),
      Buffer.from(value, 'hex').toString('latin1'),
    ]
  }
  if (typeof value !== 'object' || value === null) return []
  const members = Object.values(value)
  const bytes = members.filter((member) => typeof member === 'number' && member >= 0 && member < 256)
  return [Buffer.from(bytes).toString('latin1'), ...members.flatMap(textsIn)]
}

t.test('a request that cannot be parsed leaves nothing of its headers in the log', async (t) => {
  const h = await harness(t)
  await h.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = h.app.server.address() as AddressInfo
  const secret = 'pv_0123456789abcdef_SECRETSECRETSECRET'
  const head = `POST /v2/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${secret}\r\n`
  const requests = [
    `${head}X-Long: ${'x'.repeat(20_000)}\r\n\r\n`,
    `${head}X-Null: \0\r\n\r\n`,
    `${head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n`,
  ]
  for (const request of requests) {
    const socket = connect(port, '127.0.0.1')
    socket.write(request, 'latin1')
    t.match(await text(socket), /^HTTP\/1\.1 4/)
  }
  t.match(lines(h, 'A request could not be parsed'), [
    { code: 'HPE_HEADER_OVERFLOW', bytesParsed: Number },
    { code: 'HPE_INVALID_HEADER_TOKEN', reason: String },
    { code: 'HPE_INVALID_CHUNK_SIZE', reason: String },
  ])
  const told = h.log().split('\n').filter(Boolean)
  for (const each of told.flatMap((line) => textsIn(JSON.parse(line)))) t.notMatch(each, 'SECRETSECRET')
})

t.test('errors of the parser lose their bytes wherever they are logged', async (t) => {
  const h = await harness(t)
  const fault = Object.assign(new Error('Parse Error'), { rawPacket: Buffer.from('SECRETSECRET') })
  h.app.log.error({ err: fault }, 'a fault')
  const [line] = lines(h, 'a fault')
  for (const each of textsIn(line)) t.notMatch(each, 'SECRETSECRET')
})

t.test(
  'a log that cannot be written does not end the process',
  { skip: !existsSync('/dev/full') },
  async (t) => {
    const logging = new URL('../../src/server/plugins/logging.ts', import.meta.url)
    const program = `
    const { createLogger } = await import(${JSON.stringify(logging.href)})
    const log = createLogger('info')
    for (let i = 0; i < 3; i++) log.info({ i }, 'A line')
    await new Promise((resolve) => setTimeout(resolve, 20))
    console.error('goes on')`
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
      encoding: 'utf8',
    })
    t.equal(stderr.trim(), 'goes on')
    t.equal(status, 0)
  },
)
