import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { writeCircuit } from '../../../src/circuit/format/file.ts'
import { PolyVeilError } from '../../../src/errors/index.ts'
import {
  decodeMessage,
  encodeMessage,
  receivedError,
  sentError,
} from '../../../src/server/cluster/exchange/call-message.ts'
import type { WorkerFacts } from '../../../src/server/cluster/exchange/peers.ts'
import { RedisCalls } from '../../../src/server/cluster/exchange/redis-calls.ts'
import { placeFor, priorityOf } from '../../../src/server/cluster/queue/placement.ts'
import type { Waiting } from '../../../src/server/cluster/queue/waiting-list.ts'
import { OpenRequests } from '../../../src/server/cluster/worker/open-requests.ts'
import { readConfig, type ServerOverrides } from '../../../src/server/config.ts'
import { createLogger } from '../../../src/server/plugins/logging.ts'
import { HttpError } from '../../../src/server/problems/http-error.ts'
import { startServer, startWorker } from '../../../src/server/start.ts'
import { freePort } from '../../support/free-port.ts'
import { circuit } from '../support.ts'

const facts = (name: string, change: Partial<WorkerFacts> = {}): WorkerFacts => ({
  name,
  accepts: true,
  freePlaces: 0,
  threads: 2,
  waiting: 0,
  computing: 1,
  paused: 0,
  waitSeconds: 0,
  loadedKeySets: 1,
  heldBytes: 0,
  ...change,
})

const waiting = (owner: string, seconds: number, worker?: string): Waiting => ({
  owner,
  seconds,
  worker,
  keySet: 'k',
  job: 'j',
  priority: 1,
  since: 0,
  until: 0,
})

t.test('an inference waits for the worker with its keys only if that is free soon', async (t) => {
  const others = [facts('a'), facts('b', { freePlaces: 1 })]
  const place = (holder: WorkerFacts | undefined, queued: readonly Waiting[] = []) =>
    placeFor('holder', holder ? [...others, holder] : others, queued)
  t.equal(place(undefined), undefined, 'it has ended')
  t.equal(place(facts('holder', { waitSeconds: 1.5 })), 'holder')
  t.equal(place(facts('holder', { waitSeconds: 2.5 })), undefined)
  t.equal(place(facts('holder', { waitSeconds: 30, freePlaces: 1 })), 'holder')
  t.equal(place(facts('holder', { accepts: false, freePlaces: 1 })), undefined)
  t.equal(place(facts('holder', { waitSeconds: 1 }), [waiting('x', 1.5, 'holder')]), undefined)
  t.equal(place(facts('holder', { waitSeconds: 1 }), [waiting('x', 1.5, 'a'), waiting('x', 9)]), 'holder')
})

t.test('one owner with many inferences does not hold up another, and none waits for ever', async (t) => {
  const many = Array.from({ length: 20 }, () => waiting('many', 10))
  t.equal(priorityOf('many', many, 0), 2001)
  t.equal(priorityOf('one', many, 0), 1)
  t.equal(priorityOf('one', many, 150), 1501, 'later it is behind those that would have had their turn')
  t.ok(priorityOf('one', many, 250) > 2001, 'and the last of the many comes before it')
  t.equal(priorityOf('one', [waiting('one', 0.3), waiting('one', 0.4)], 0), 8, 'small networks count, too')
  t.equal(priorityOf('one', many, 1e9), 2 ** 21, 'BullMQ takes no later one')
})

t.test('messages and errors come as they were sent', async (t) => {
  const head = { kind: 'call', id: 'i', from: 'f', name: 'n', data: { a: [1, 'ä'] } } as const
  const bytes = encodeMessage(head, new Uint8Array([1, 2, 3]))
  const decoded = decodeMessage(bytes)
  t.strictSame(decoded?.head, head)
  t.strictSame([...(decoded?.body ?? [])], [1, 2, 3])
  const http = receivedError(
    sentError(new HttpError(507, 'TOO_LARGE', 'much', { bytes: 5 }, { remedy: 'less' })),
  )
  t.match(http, { status: 507, code: 'TOO_LARGE', message: 'much', facts: { bytes: 5 }, remedy: 'less' })
  const plain = receivedError(sentError(new PolyVeilError('KEYS_EXPIRED', 'gone')))
  t.equal(plain.code, 'KEYS_EXPIRED')
  t.notOk(plain instanceof HttpError)
  const fault = receivedError(sentError(new TypeError('a secret of the program')))
  t.equal(fault.code, 'INTERNAL')
  t.notMatch(JSON.stringify(fault), 'secret')
})

t.test('bytes that are no message are found', async () => {
  const good = new Uint8Array(encodeMessage({ kind: 'word', id: 'i', from: 'f', name: 'n', data: null }))
  const damaged = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
    const copy = Buffer.from(good)
    copy[at] ^= by
    return copy
  })
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
        damaged,
      ),
      (bytes) => {
        const message = decodeMessage(bytes)
        return message === undefined || ['call', 'answer', 'word'].includes(message.head.kind)
      },
    ),
  )
})

t.test('settings that do not belong together are named at the start', async (t) => {
  const modelsDir = t.testdir({})
  await writeFile(join(modelsDir, 'small.pvc'), writeCircuit(circuit))
  const refused = async (role: typeof startServer | typeof startWorker, overrides: ServerOverrides) => {
    const dataDir = join(modelsDir, 'data')
    const config = await readConfig({ overrides: { modelsDir, dataDir, logLevel: 'silent', ...overrides } })
    return role(config, createLogger('silent')).then(
      () => undefined,
      (error: PolyVeilError) => error,
    )
  }
  const isRefused = (error: PolyVeilError | undefined, setting: string): void => {
    t.match(error, { code: 'CONFIG_INVALID', facts: { setting } }, setting)
    t.notMatch(JSON.stringify([error?.message, error?.facts, error?.remedy]), 'a-password')
  }
  const redis = `redis://someone:a-password@127.0.0.1:${await freePort()}/0`
  isRefused(await refused(startServer, { keyStorage: 's3://a-bucket' }), 'keyStorage')
  isRefused(await refused(startServer, { redis, backupDir: 'backups' }), 'backupDir')
  isRefused(await refused(startServer, { redis }), 'redis')
  isRefused(await refused(startWorker, { redis, threads: 1 }), 'redis')
  isRefused(await refused(startWorker, {}), 'redis')
  for (const address of ['localhost:6379', 'http://localhost', 'a-password']) {
    const error = await readConfig({ overrides: { modelsDir, redis: address } }).catch((error) => error)
    isRefused(error, 'redis')
  }
})

t.test('requests that are open in a process that ends are closed', async (t) => {
  let tell = (_name: string): void => {}
  let watched = (): Iterable<string> => []
  const open = new OpenRequests({
    watch: (names) => {
      watched = names
    },
    onLost: (listener) => {
      tell = listener
    },
  })
  const left: string[] = []
  for (const [token, process] of [
    ['a', 'one'],
    ['b', 'two'],
    ['c', 'one'],
  ]) {
    open.add(token, process, () => left.push(token))
  }
  t.strictSame([...watched()], ['one', 'two'])
  open.close('c')
  tell('one')
  open.close('a')
  t.strictSame(left, ['c', 'a'], 'each once')
  t.strictSame([...watched()], ['two'])
})

t.test('a connection that has no answer several times in a row is made anew', async (t) => {
  let disconnects = 0
  const connection = { disconnect: () => disconnects++ } as never
  const calls = new RedisCalls(connection, 5)
  const silent = () =>
    t.rejects(
      calls.ask(() => new Promise(() => {})),
      { code: 'TOO_BUSY' },
    )
  await silent()
  await silent()
  t.equal(await calls.ask(async () => 7), 7)
  await silent()
  await silent()
  t.equal(disconnects, 0, 'an answer in between shows that it lives')
  await silent()
  t.equal(disconnects, 1)
})
