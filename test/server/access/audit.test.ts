import { readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { PolyVeilError } from '../../../src/errors/index.ts'
import { auditTo } from '../../../src/server/access/audit.ts'
import { AuditFile } from '../../../src/server/access/audit-file.ts'
import { AuditHealth } from '../../../src/server/access/audit-health.ts'
import { addressCaller } from '../../../src/server/access/caller.ts'
import { ImageBudget } from '../../../src/server/access/image-budget.ts'
import { createToken, revokeToken } from '../../../src/server/access/manage-tokens.ts'
import { tokenParts } from '../../../src/server/access/token.ts'
import { KeyStore } from '../../../src/server/stores/key-store.ts'
import { memoryStorage } from '../../../src/server/stores/memory-files.ts'
import type { RemovedKeySet } from '../../../src/server/stores/removals.ts'
import { StateDatabase } from '../../../src/server/stores/state-database.ts'
import { parameters } from '../../circuit/circuits.ts'
import { elements, harness, isProblem, keyBytes, query } from '../support.ts'
import { as, audits, guarded, upload } from './guarded.ts'

const from = (ip: string) => ({ id: 'request', ip, caller: addressCaller({ ip }) })

const linesOf = (path: string): Record<string, unknown>[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

t.test('an audit log in a file has no control characters, and addresses of a limited length', async (t) => {
  const path = join(t.testdir({}), 'log', 'audit.jsonl')
  const file = AuditFile.open(path)
  t.teardown(() => file.close())
  const audit = auditTo(file.log)
  audit('access refused', from('192.0.2.1\u009b2J\u007f\u202e'))
  audit('access refused', from('x'.repeat(9000)))
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.notMatch(readFileSync(path, 'utf8'), /[\u007f-\u009f\u202e]/)
  const [first, second] = linesOf(path)
  t.equal(first.remoteAddress, '192.0.2.1\u009b2J\u007f\u202e')
  t.equal(String(second.remoteAddress).length, 64)
})

t.test('the log shortens what a proxy passes on as an address', async (t) => {
  const h = await harness(t, { trustProxy: true })
  await h.inject({ url: '/v2', headers: { 'x-forwarded-for': 'y'.repeat(9000) } })
  t.match(h.log(), 'y'.repeat(64))
  t.notMatch(h.log(), 'y'.repeat(65))
})

t.test('an audit log goes on in a new file when it is opened anew', async (t) => {
  const path = join(t.testdir({}), 'audit.jsonl')
  const file = AuditFile.open(path)
  const audit = auditTo(file.log)
  audit('query taken', from('192.0.2.1'), { images: 1 })
  renameSync(path, `${path}.1`)
  audit('query taken', from('192.0.2.1'), { images: 2 })
  file.reopen()
  audit('query taken', from('192.0.2.1'), { images: 3 })
  t.match(linesOf(`${path}.1`), [{ images: 1 }, { images: 2 }])
  t.match(linesOf(path), [{ images: 3 }])
  file.close()
  file.close()
  t.throws(() => audit('query taken', from('192.0.2.1')), { code: 'TOO_BUSY', status: 503 })
})

t.test('an audit log that cannot be opened is an error with a code', async (t) => {
  const directory = t.testdir({ file: '' })
  t.throws(() => AuditFile.open(join(directory, 'file', 'audit')), { code: 'CONFIG_INVALID' })
  t.throws(() => AuditFile.open(directory), { code: 'CONFIG_INVALID', message: /EISDIR/ })
})

t.test('a full disk fails the line, and no line comes later', async (t) => {
  const file = AuditFile.open('/dev/full')
  t.teardown(() => file.close())
  for (let i = 0; i < 3; i++) t.throws(() => file.write('{}\n'), { code: 'ENOSPC' })
})

/** An audit log that can be made to fail, as on a full disk. */
function failingLog() {
  const told: string[] = []
  const state = { isFailing: false, told, gap: 0 }
  const log = {
    info: (facts: { audit: string; events?: number }) => {
      if (state.isFailing) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
      told.push(facts.audit)
      state.gap = facts.events ?? state.gap
    },
  }
  return { state, log: log as never }
}

t.test('without an audit log nothing is done that must be recorded', async (t) => {
  const { state, log } = failingLog()
  const faults: string[] = []
  const note = (...args: unknown[]) => void faults.push(String(args.at(-1)))
  const health = new AuditHealth({ error: note, info: note } as never)
  t.teardown(() => health.close())
  const audit = auditTo(log, health)
  const budget = new ImageBudget(StateDatabase.inMemory())
  const { h, tokens } = await guarded(t, [{ tenant: 'clinic', quota: { images: 1 } }], { audit, budget })
  const id = await upload(h, tokens[0])
  state.isFailing = true
  const named = { 'polyveil-key-set': id }
  for (let i = 0; i < 3; i++) isProblem(t, await h.inject(as(tokens[0], query(id))), 503, 'TOO_BUSY')
  t.equal(h.engine.jobs.length, 0)
  const payload = { parametersDigest: parameters.digest, bytes: keyBytes, galoisElements: elements }
  for (let i = 0; i < 5; i++) {
    const announced = await h.inject(as(tokens[0], { method: 'POST', url: '/v2/keys', payload }))
    isProblem(t, announced, 503, 'TOO_BUSY')
    t.match(announced.json().detail, /cannot write its audit log/)
  }
  t.equal((await h.keys.totals()).sets, 1, 'no announcement has taken a place')
  const remove = { method: 'DELETE', url: '/v2/keys', headers: named } as const
  isProblem(t, await h.inject(as(tokens[0], remove)), 503, 'TOO_BUSY')
  t.equal((await h.inject(as(tokens[0], { url: '/v2/keys', headers: named }))).statusCode, 200)
  isProblem(t, await h.inject({ url: '/v2/models' }), 401, 'UNAUTHENTICATED')
  t.strictSame(faults, ['The audit log cannot be written, so the service takes no queries and no key sets'])
  state.isFailing = false
  t.equal((await h.inject(as(tokens[0], query(id)))).statusCode, 200, 'the budget was not spent')
  t.equal((await h.inject(as(tokens[0], remove))).statusCode, 204)
  t.equal(faults.length, 2)
  t.match(faults[1], /can be written again/)
  t.ok(state.told.includes('events not recorded'))
})

t.test('a service whose audit log cannot be written is not ready, until a probe can write it', async (t) => {
  const { state, log } = failingLog()
  const health = new AuditHealth(undefined, 20)
  t.teardown(() => health.close())
  const h = await harness(t, { audit: auditTo(log, health), auditLog: health })
  const isReady = async () => (await h.inject({ url: '/v2/health/ready' })).statusCode === 200
  const payload = { parametersDigest: parameters.digest, bytes: keyBytes, galoisElements: elements }
  const announce = () => h.inject({ method: 'POST', url: '/v2/keys', payload })
  t.ok(await isReady())
  state.isFailing = true
  for (let i = 0; i < 2; i++) isProblem(t, await announce(), 503, 'TOO_BUSY')
  t.notOk(await isReady())
  await setTimeout(50)
  t.notOk(await isReady(), 'a probe that fails changes nothing')
  state.isFailing = false
  while (!health.isWritable) await setTimeout(5)
  t.ok(await isReady())
  t.strictSame(state.told, ['events not recorded'])
  t.equal(state.gap, 2)
  t.equal((await announce()).statusCode, 201)
})

t.test('a refusal names the tenant and the token that the request has the secret of', async (t) => {
  const { h, tokens, tenants, files } = await guarded(t, [{ tenant: 'clinic' }])
  await createToken(files, { tenant: 'old', scopes: ['infer'], quota: {}, lifetime: -1 }).then(
    async ({ text }) => {
      tokens.push(text)
    },
  )
  const [revoked, expired] = tokens
  const idOf = (token: string): string => tokenParts(token)!.id
  await revokeToken(files, idOf(revoked))
  await tenants.refresh()
  for (const token of [revoked, expired, `pv_${idOf(revoked)}_${'x'.repeat(43)}`]) {
    isProblem(t, await h.inject(as(token, { url: '/v2/models' })), 401, 'UNAUTHENTICATED')
  }
  const [first, second, third] = audits(h)
  t.match(first, { tenant: 'clinic', token: idOf(revoked), why: 'UNAUTHENTICATED', reason: 'revoked' })
  t.match(second, { tenant: 'old', token: idOf(expired), reason: 'expired' })
  t.match(third, { reason: 'unknown' })
  t.notOk('token' in third, 'who has no secret of a token is not named after it')
})

t.test('key sets that the service removes are told with their owner and the reason', async (t) => {
  const removed: RemovedKeySet[] = []
  const clock = { now: 0 }
  const store = await KeyStore.open(
    memoryStorage(),
    { ttlMilliseconds: 1000, maxSets: 8, maxSetBytes: 100, maxTotalBytes: 1000, maxSetsPerOwner: 1 },
    () => clock.now,
    undefined,
    (each) => void removed.push(each),
  )
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(8)
  }
  const add = async (): Promise<void> => {
    const announced = { parametersDigest: 'p', galoisElements: [], bytes: 8 }
    const { id } = await store.create(announced, 'tenant:clinic')
    await store.append(id, 0, bytes())
    await store.complete(id, async () => ({ digest: 'd' }))
  }
  await add()
  clock.now++
  await add()
  clock.now += 2000
  await store.sweep()
  t.match(removed, [
    { owner: 'tenant:clinic', reason: 'made room for its owner', name: /^[0-9a-f]{64}$/ },
    { owner: 'tenant:clinic', reason: 'expired' },
  ])
})

t.test('the first request of a minute that is too many is recorded', async (t) => {
  const { h, tokens } = await guarded(t, [{ tenant: 'clinic', quota: { requestsPerMinute: 2 } }])
  const statuses: number[] = []
  for (let i = 0; i < 5; i++) {
    statuses.push((await h.inject(as(tokens[0], { url: '/v2/models' }))).statusCode)
  }
  t.strictSame(statuses, [200, 200, 429, 429, 429])
  t.match(audits(h), [{ audit: 'requests refused: too many', tenant: 'clinic', requestsPerMinute: 2 }])
  t.equal(audits(h).length, 1)
})

t.test('a query that the service fails is recorded as taken and given back', async (t) => {
  const budget = new ImageBudget(StateDatabase.inMemory())
  const { h, tokens } = await guarded(t, [{ tenant: 'clinic' }], { budget })
  const id = await upload(h, tokens[0])
  h.engine.work = () => Promise.reject(new PolyVeilError('WORKER_LOST', 'gone'))
  await h.inject(as(tokens[0], query(id)))
  const events = audits(h).map(({ audit }) => audit)
  t.strictSame(events.slice(-2), ['query taken', 'images given back'])
})
