import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'
import { startService } from './service.ts'
import { failed, filesIn, polyveil, zooPath } from './support.ts'

const QUIET = ['--json', '--quiet']
const IMAGE = zooPath('digits/images/digits-3-0.png')
const directory = t.testdir()
const modelsDir = join(directory, 'models')
await writeDigitsOfFewKeys(modelsDir)
const settings = join(directory, 'settings.json')
writeFileSync(settings, JSON.stringify({ maxUploadsPerAddress: 1, modelsDir }))
const dataDir = join(directory, 'data')
const service = await startService(dataDir, '--config', settings)
t.teardown(() => service.stop())
const { url } = service
const here = ['--url', url, '--model', 'digits']

/** Number of key sets on the server, incomplete ones included. */
async function keySets(): Promise<number> {
  const metrics = await (await fetch(new URL('/metrics', url))).text()
  return Number(/^polyveil_key_sets (\d+)$/m.exec(metrics)?.[1])
}

/** Announces a key set for the digits. @returns its id */
async function announce(): Promise<string> {
  const folder = join(directory, 'announced')
  mkdirSync(folder)
  const manifest = `${url}/v2/models/digits/manifest`
  const args = ['keygen', manifest, '--keys', join(folder, 'keys'), '--out', join(folder, 'set'), ...QUIET]
  const { announcement } = (await polyveil(args)).json
  const headers = { 'content-type': 'application/json' }
  const created = await fetch(`${url}/v2/keys`, {
    method: 'POST',
    headers,
    body: JSON.stringify(announcement),
  })
  return ((await created.json()) as { id: string }).id
}

t.test('classify without --keys leaves no key set on the server', async (t) => {
  const ran = await polyveil(['classify', IMAGE, ...here, ...QUIET])
  t.equal(ran.code, 0, ran.stderr)
  t.equal(ran.json.images[0].classes[0].label, '3')
  t.equal(await keySets(), 0)
  t.strictSame(filesIn(join(dataDir, 'keys')), ['polyveil-key-sets.json'])
})

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  t.test(`${signal} during the upload leaves no key set on the server`, async (t) => {
    for (const keys of [[], ['--keys', join(directory, `stopped-${signal}`)]]) {
      const stop = new AbortController()
      const run = polyveil(['classify', IMAGE, ...here, ...keys], { signal: stop.signal, killSignal: signal })
      while ((await keySets()) === 0) await sleep(5)
      stop.abort()
      const ran = await run
      t.equal(ran.code, code)
      t.match(ran.stderr, /polyveil: stopped\n$/)
      t.equal(await keySets(), 0)
    }
  })
}

t.test('a client reports that it waits for room, and continues when there is room', async (t) => {
  const id = await announce()
  const run = polyveil(['classify', IMAGE, ...here])
  await sleep(4000)
  const headers = { 'PolyVeil-Key-Set': id }
  t.equal((await fetch(`${url}/v2/keys`, { method: 'DELETE', headers })).status, 204)
  const ran = await run
  t.equal(ran.code, 0, ran.stderr)
  t.match(ran.stderr, /: the server has no room for keys now; trying again in 10 s\n/)
})

t.test('keys list, rotate and delete, with and without a server', async (t) => {
  const keys = join(directory, 'keys')
  const run = (name: string, ...args: string[]) =>
    polyveil(['keys', name, '--keys', keys, ...args, '--quiet'])
  const json = async (name: string, ...args: string[]) => (await run(name, ...args, '--json')).json
  t.strictSame(await json('list'), { asked: false, keys: [] })
  t.notOk(readdirSync(directory).includes('keys'), 'no store is made')

  t.equal((await polyveil(['classify', IMAGE, ...here, '--keys', keys, ...QUIET])).code, 0)
  const asked = await json('list', '--url', url)
  const [key] = asked.keys
  t.match(asked, { url, asked: true })
  t.match(key, {
    parametersDigest: /^[0-9a-f]{64}$/,
    hasSecretKey: true,
    keySets: [{ name: /^[0-9a-f]{12}$/, server: `${url}/`, expires: /^\d{4}-.*Z$/, state: 'stored' }],
  })
  const short = key.parametersDigest.slice(0, 12)
  const shown = (await run('list')).stdout.toString()
  t.match(shown, /^key +key set +server +expires +state\n/)
  t.ok(
    shown.includes(`${short}  ${key.keySets[0].name}  ${url}/  ${key.keySets[0].expires}  unasked\n`),
    shown,
  )
  t.match(shown, /No server was asked/)

  const rotated = await json('rotate', '--url', url, '--model', 'digits')
  t.match(rotated, { told: true, url, parametersDigest: key.parametersDigest, remaining: [] })
  t.equal(await keySets(), 1)
  const [after] = (await json('list', '--url', url)).keys
  t.not(after.keySets[0].name, key.keySets[0].name)

  const offline = await run('rotate', '--manifest', `${url}/v2/models/digits/manifest`)
  t.match(offline.stdout.toString(), /^a new secret key for [0-9a-f]{12}\nNo server was told anything\.\n/)
  t.match(offline.stdout.toString(), `key set ${after.keySets[0].name} stays on ${url}/ until `)
  t.equal(await keySets(), 1)
  t.match(await json('delete', '--left-over', '--url', url), {
    secretKeys: [],
    keySets: [{ state: 'stored' }],
  })
  t.equal(await keySets(), 0)

  t.equal((await polyveil(['classify', IMAGE, ...here, '--keys', keys, ...QUIET])).code, 0)
  const local = await run('delete', short)
  t.match(
    local.stdout.toString(),
    /^1 secret key\(s\) deleted here\nNo server was told anything\.\nkey set .* stays on /,
  )
  t.equal(await keySets(), 1)
  const everything = await run('delete', '--all', '--url', url)
  t.equal(everything.stdout.toString(), `0 secret key(s) deleted here\n1 key set(s) deleted on ${url}\n`)
  t.equal(await keySets(), 0)
  t.strictSame((await json('list')).keys, [])
})

t.test('wrong arguments of keys commands are refused', async (t) => {
  const keys = join(directory, 'keys')
  for (const [args, message] of [
    [['list'], /required option '--keys <dir>'/],
    [['delete', '--keys', keys], /Exactly one of KEY..., --all and --left-over/],
    [['delete', 'ab', '--all', '--keys', keys], /Exactly one of/],
    [['delete', '--left-over', '--keys', keys], /give its --url/],
    [['delete', 'ab', '--keys', keys], /No key begins with "ab"/],
    [['delete', '', '--keys', keys], /The beginning of a key is empty/],
    [['rotate', '--keys', keys], /--url and --model, or --manifest/],
    [['rotate', '--keys', keys, '--url', url], /--url and --model, or --manifest/],
  ] as const) {
    const ran = await polyveil(['keys', ...args, ...QUIET])
    failed(t, ran, 2, 'CONFIG_INVALID')
    t.match(ran.json.error.message, message)
  }
  const none = await polyveil(['keys'])
  t.equal(none.code, 2)
  t.match(none.stderr, 'A command is missing')
})

t.test(
  'a service refuses a data directory with the keys of a client, and leaves the keys unchanged',
  async (t) => {
    const folder = t.testdir()
    const keys = join(folder, 'keys')
    const passphrase = { POLYVEIL_PASSPHRASE: 'correct horse' }
    const manifest = ['--manifest', `${url}/v2/models/digits/manifest`]
    const encrypt = ['encrypt', IMAGE, ...manifest, '--keys', keys, '--out', join(folder, 'query'), ...QUIET]
    t.equal((await polyveil(encrypt, { env: passphrase })).code, 0)
    const contents = () =>
      filesIn(keys).map((file) => [file, readFileSync(join(keys, file), 'hex')].join(' '))
    const before = contents()
    t.equal(before.length, 4, 'header, check value or store key, secret key and pin')
    const serve = await polyveil(['serve', '--port', '0', ...QUIET], { env: { POLYVEIL_DATA_DIR: folder } })
    failed(t, serve, 3, 'CONFIG_INVALID', { directory: keys })
    t.match(serve.json.error.message, /client's store of secret keys.*dataDir \(POLYVEIL_DATA_DIR\)/)
    const same = contents()
    t.ok(same.join() === before.join(), 'every file is unchanged')
  },
)
