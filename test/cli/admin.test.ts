import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { writeCircuit } from '../../src/circuit/index.ts'
import { connect, memoryKeyStore } from '../../src/client/index.ts'
import { smallCircuit } from '../circuit/circuits.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'
import { startService } from './service.ts'
import { failed, polyveil, zooPath } from './support.ts'

const IMAGE = readFileSync(zooPath('digits/images/digits-7-0.png'))
const directory = t.testdir()
const backups = join(directory, 'backups')
const config = join(directory, 'service.json')
const free = createServer().listen(0, '127.0.0.1')
await new Promise((resolve) => free.once('listening', resolve))
const { port } = free.address() as AddressInfo
await new Promise((resolve) => free.close(resolve))
writeFileSync(config, JSON.stringify({ managementPort: port, backupDir: backups }))
const models = join(directory, 'models')
await writeDigitsOfFewKeys(models)
writeFileSync(join(models, 'small.pvc'), writeCircuit(smallCircuit()))
const service = await startService(join(directory, 'data'), '--config', config, '--models', models)
t.teardown(() => service.stop())
const { managementUrl } = service.document as { managementUrl: string }

/** Runs `polyveil admin ARGS` against the service that the settings name. */
const admin = (...args: string[]) => polyveil(['admin', ...args, '--config', config])
const document = async (...args: string[]) => (await admin(...args, '--json', '--quiet')).json
const text = async (...args: string[]) => (await admin(...args)).stdout.toString()

/** The client replies to refresh rounds only after this. */
let replies = Promise.resolve()
const sdk = await connect(service.url, {
  keys: memoryKeyStore(),
  fetch: async (resource, init) => {
    if (String(resource).includes('/inferences/')) await replies
    return fetch(resource, init)
  },
})
await sdk.classify('digits', IMAGE)

t.test('status shows readiness, load, workers and memory', async (t) => {
  t.equal(managementUrl, `http://127.0.0.1:${port}`)
  t.match(await document('status'), {
    ready: true,
    workers: [{ ready: true, loadedKeySets: 1 }],
    keySets: { complete: 1, uploads: 0 },
    models: { served: 2, leftOut: 0 },
  })
  const shown = await text('status')
  t.match(shown, /^ready, version /)
  t.match(shown, /1 key set\(s\), 0 upload\(s\), \d/)
  t.match(shown, /^worker +runs +computing +key sets +held +limit$/m)
  const byUrl = await polyveil(['admin', 'status', '--url', `${managementUrl}/`, '--json'])
  t.match(byUrl.json, { ready: true })
})

t.test('drain and undrain', async (t) => {
  t.strictSame(await document('drain'), { intake: 'drained', running: 0 })
  t.equal((await fetch(`${service.url}/v2/health/ready`)).status, 503)
  t.match(await text('status'), /^not ready.*\nintake: The service is drained by its operator$/m)
  t.match(await text('undrain'), 'The service takes new inferences and key sets; 0 inference(s) under way.')
  t.equal((await fetch(`${service.url}/v2/health/ready`)).status, 200)
})

t.test('models are listed with what is left out', async (t) => {
  const shown = await text('models')
  t.match(shown, /^model +version +circuit +parameters +batch +rounds +memory$/m)
  t.match(shown, /^digits +1 +[0-9a-f]{12} /m)
  t.match(await document('models', '--look'), {
    served: [{ name: 'digits' }, { name: 'small' }],
    leftOut: [],
  })
})

t.test('inferences are listed, and unknown ones are not cancelled', async (t) => {
  t.strictSame(await document('inferences'), { inferences: [] })
  t.equal(await text('inferences'), 'No inference is under way.\n')
  failed(t, await admin('cancel', '0'.repeat(16), '--json', '--quiet'), 3, 'INFERENCE_UNKNOWN')
  failed(t, await admin('cancel', '../keys', '--json', '--quiet'), 2, 'CONFIG_INVALID')
})

t.test('an inference under way is cancelled', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  replies = promise
  const outcome = sdk.classify('digits', IMAGE).then(
    () => 'labels',
    ({ code }) => code,
  )
  let handle: string | undefined
  while (handle === undefined) {
    const { inferences } = await (await fetch(`${managementUrl}/inferences`)).json()
    handle = inferences[0]?.handle
  }
  t.match(await text('inferences'), /^[0-9a-f]{16} +digits +- +[0-9a-f]{12} +(running|refresh) +\d\/\d +\d/m)
  t.strictSame(await document('cancel', handle), { cancelled: handle })
  const left = (await document('inferences')).inferences.map((each: { handle: string }) => each.handle)
  t.notOk(left.includes(handle))
  resolve()
  t.equal(await outcome, 'labels', 'the client begins the lost inference again')
})

t.test('a backup is made below backupDir', async (t) => {
  const made = await document('backup', 'one')
  t.match(made, { path: join(backups, 'one'), keySets: 1, leftOut: 0, tenants: 0 })
  t.ok(existsSync(join(backups, 'one', 'state.db')))
  failed(t, await admin('backup', 'one', '--json', '--quiet'), 3, 'CONFIG_INVALID')
  failed(t, await admin('backup', '../two', '--json', '--quiet'), 3, 'CONFIG_INVALID')
  t.notOk(existsSync(join(directory, 'two')))
  const shown = await text('backup')
  t.match(shown, /backups\/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ has 1 key set\(s\), /)
})

t.test('key sets are listed and deleted', async (t) => {
  const { keySets, total } = await document('keys', 'list')
  t.equal(total, 1)
  const [{ name }] = keySets
  t.match(name, /^[0-9a-f]{64}$/)
  const shown = await text('keys', 'list', '--limit', '1')
  t.match(shown, /^key set +tenant +size +complete +parameters +created +used +expires$/m)
  t.match(shown, new RegExp(`^${name.slice(0, 12)} +- +.* +yes +`, 'm'))
  t.strictSame(await document('keys', 'list', '--tenant', 'nobody'), { keySets: [], total: 0 })
  t.strictSame(await document('keys', 'delete', '--tenant', 'nobody'), { deleted: 0 })
  for (const args of [[], [name, '--tenant', 'x'], ['..'], ['abc'], ['x'.repeat(12)]]) {
    failed(t, await admin('keys', 'delete', ...args, '--json', '--quiet'), 2, 'CONFIG_INVALID')
  }
  t.equal(await text('keys', 'delete', name.slice(0, 12)), '1 key set(s) deleted.\n')
  failed(t, await admin('keys', 'delete', name, '--json', '--quiet'), 3, 'KEYS_EXPIRED')
  t.equal(await text('keys', 'list'), 'There are no key sets.\n')
})

t.test('without an address, a service or the right one, the command says so', async (t) => {
  const ran = await polyveil(['admin', 'status', '--json', '--quiet'])
  failed(t, ran, 2, 'CONFIG_INVALID')
  t.match(ran.json.error.message, /POLYVEIL_MANAGEMENT_PORT/)
  const env = { POLYVEIL_MANAGEMENT_PORT: '1' }
  const nothing = await polyveil(['admin', 'status', '--json', '--quiet'], { env })
  failed(t, nothing, 5, 'SERVER_UNREACHABLE')
  const wrong = ['admin', 'status', '--json', '--quiet', '--url', service.url]
  failed(t, await polyveil(wrong), 3, 'CONFIG_INVALID')
  const page = createServer((_request, response) => response.end('<html>')).listen(0, '127.0.0.1')
  await new Promise((resolve) => page.once('listening', resolve))
  t.teardown(() => page.close())
  const url = `http://127.0.0.1:${(page.address() as AddressInfo).port}`
  failed(t, await polyveil(['admin', 'status', '--json', '--quiet', '--url', url]), 3, 'CONFIG_INVALID')
})
