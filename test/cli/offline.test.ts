import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { CIRCUITS } from '../../scripts/building/paths.ts'
import { manifestOf, readCircuit } from '../../src/circuit/index.ts'
import { bytesSource, decodeTensor, keySetBytes, querySpec, verifyKeySet } from '../../src/wire/index.ts'
import {
  circuitOfLargePrimes,
  encryptedAnswer,
  honestSlots,
  LABELS,
  manifest,
  parameters,
  wrappedSlots,
} from '../client/fake-server.ts'
import { failed, filesIn, polyveil, zooPath } from './support.ts'

// A client without network: keys, image and answer are transferred as files and through pipes. The test plays
// the server, and has only the public keys.

const QUIET = ['--json', '--quiet']
const image = zooPath('digits/images/digits-3-0.png')
const directory = t.testdir()
const manifestFile = join(directory, 'manifest.json')
writeFileSync(manifestFile, JSON.stringify(manifest))
const keys = join(directory, 'keys')
const keySetFile = join(directory, 'key-set')
const local = ['--manifest', manifestFile, '--keys', keys]

const keygen = await polyveil(['keygen', manifestFile, '--keys', keys, '--out', keySetFile, ...QUIET])
const keySet = new Uint8Array(readFileSync(keySetFile))
const answer = await encryptedAnswer(keySet, honestSlots([1, -2, 3.5, 0, 2]))

t.test('keygen writes the key set of a manifest; the secret key stays in the directory', async (t) => {
  t.equal(keygen.code, 0)
  t.equal(keygen.stderr, '')
  const bytes = keySetBytes(parameters, manifest.galoisElements)
  const galoisElements = [...manifest.galoisElements].sort((a, b) => a - b)
  t.strictSame(keygen.json, {
    manifest: manifest.digest,
    parameters: parameters.digest,
    galoisKeys: galoisElements.length,
    bytes,
    out: keySetFile,
    announcement: { parametersDigest: parameters.digest, bytes, galoisElements },
  })
  t.equal(keySet.length, keygen.json.bytes)
  t.strictSame([...(await verifyKeySet(parameters, bytesSource(keySet)))], galoisElements)
  t.ok(filesIn(directory).every((file) => !file.endsWith('.part')))
  for (const file of readdirSync(keys))
    t.equal(statSync(join(keys, file)).mode & 0o077, 0, `${file} is readable only by its owner`)
})

t.test('encrypt writes an encrypted image, and decrypt reads the answer from a pipe', async (t) => {
  const piped = await polyveil(['encrypt', image, ...local, '--quiet'])
  t.equal(piped.code, 0)
  t.equal(piped.stderr, '')
  t.equal(decodeTensor(parameters, querySpec(manifest), new Uint8Array(piped.stdout)).length, 2)
  const out = join(directory, 'query')
  const filed = await polyveil(['encrypt', image, ...local, '--out', out, ...QUIET])
  t.strictSame(filed.json, { manifest: manifest.digest, images: 1, bytes: piped.stdout.length, out })
  t.notOk(readFileSync(out).equals(piped.stdout), 'every encryption is fresh')

  const decrypted = await polyveil(['decrypt', ...local, '--top', '2', ...QUIET], { input: answer })
  t.equal(decrypted.code, 0)
  t.match(decrypted.json, {
    model: 'toy-model',
    classes: [{ label: LABELS[2], index: 2 }, { label: LABELS[4] }],
  })
  t.equal(decrypted.json.classes.length, 2)
  t.ok(Math.abs(decrypted.json.classes[0].logit - 3.5) < 1e-2)
  writeFileSync(join(directory, 'answer'), answer)
  const shown = await polyveil(['decrypt', join(directory, 'answer'), ...local])
  t.match(shown.stdout.toString(), /^class +score +logit\ntwo /)
})

t.test('malformed answers and dishonest results are refused', async (t) => {
  const decrypt = (input: Uint8Array) => polyveil(['decrypt', ...local, ...QUIET], { input })
  const flipped = Uint8Array.from(answer)
  flipped[5000] ^= 1
  failed(t, await decrypt(flipped), 3, 'TENSOR_MALFORMED')
  failed(t, await decrypt(answer.subarray(0, -1)), 3, 'TENSOR_MALFORMED')
  failed(t, await decrypt(new Uint8Array()), 3, 'TENSOR_MALFORMED')
  failed(t, await decrypt(Buffer.concat([answer, Buffer.alloc(1)])), 3, 'TOO_LARGE')
  failed(t, await decrypt(Buffer.alloc(20 * answer.length)), 3, 'TOO_LARGE', { limit: answer.length })
  failed(t, await decrypt(await encryptedAnswer(keySet, wrappedSlots)), 3, 'TENSOR_OUT_OF_RANGE')
  failed(t, await polyveil(['decrypt', join(directory, 'absent'), ...local, ...QUIET]), 3, 'CONFIG_INVALID')
})

t.test('missing keys and keys of other clients or parameters are refused', async (t) => {
  const folder = t.testdir()
  const empty = join(folder, 'none')
  const decrypt = (...flags: string[]) => polyveil(['decrypt', ...flags, ...QUIET], { input: answer })
  const missing = await decrypt('--manifest', manifestFile, '--keys', empty)
  failed(t, missing, 3, 'KEYS_MISSING', { parametersDigest: parameters.digest })
  t.notOk(existsSync(empty), 'no directory is made')

  const others = join(folder, 'others')
  const made = ['keygen', manifestFile, '--keys', others, '--out', join(folder, 'set'), ...QUIET]
  t.equal((await polyveil(made)).code, 0)
  failed(t, await decrypt('--manifest', manifestFile, '--keys', others), 3, 'TENSOR_OUT_OF_RANGE')

  const other = join(folder, 'other.json')
  writeFileSync(other, JSON.stringify(manifestOf(circuitOfLargePrimes)))
  t.equal((await polyveil(['keygen', other, '--keys', keys, '--out', join(folder, 'set'), ...QUIET])).code, 0)
  failed(t, await decrypt('--manifest', other, '--keys', keys), 3, 'PARAMETERS_MISMATCH')
})

t.test('a passphrase protects the keys, and is needed from then on', async (t) => {
  const protectedKeys = join(t.testdir(), 'keys')
  const encrypt = (env: Record<string, string>) =>
    polyveil(['encrypt', image, '--manifest', manifestFile, '--keys', protectedKeys, '--quiet'], { env })
  t.equal((await encrypt({ POLYVEIL_PASSPHRASE: 'correct horse' })).code, 0)
  t.notOk(readdirSync(protectedKeys).includes('store.key'))
  for (const passphrase of ['', 'wrong']) {
    const refused = await encrypt({ POLYVEIL_PASSPHRASE: passphrase })
    t.equal(refused.code, 3)
    t.match(refused.stderr, 'CONFIG_INVALID')
    t.equal(refused.stdout.length, 0)
  }
})

t.test('malformed images leave no files', async (t) => {
  const folder = t.testdir({ text: 'no image', empty: '', 'half.png': readFileSync(image).subarray(0, 60) })
  const out = join(folder, 'query')
  for (const name of ['text', 'empty', 'half.png', 'absent']) {
    const ran = await polyveil(['encrypt', join(folder, name), ...local, '--out', out, ...QUIET])
    failed(t, ran, 3, 'IMAGE_UNREADABLE')
    t.strictSame(filesIn(folder), ['empty', 'half.png', 'text'], name)
  }
})

t.test('invalid manifests are refused', async (t) => {
  const refused = async (t: Test, content: string, code: string) => {
    const file = join(directory, 'other.json')
    writeFileSync(file, content)
    for (const args of [
      ['keygen', file, '--keys', keys, '--out', join(directory, 'none')],
      ['encrypt', image, '--manifest', file, '--keys', keys, '--out', join(directory, 'none')],
      ['decrypt', join(directory, 'answer'), '--manifest', file, '--keys', keys],
    ]) {
      failed(t, await polyveil([...args, ...QUIET]), 3, code)
    }
    t.notOk(existsSync(join(directory, 'none')))
  }
  await refused(t, JSON.stringify({ ...manifest, labels: ['a', 'b', 'c', 'd', 'e'] }), 'PARAMETERS_MISMATCH')
  await refused(t, '{"format":1}', 'CONFIG_INVALID')
  await refused(t, 'no JSON', 'CONFIG_INVALID')
  const url = await polyveil([
    'keygen',
    'http://localhost/m',
    '--keys',
    keys,
    '--out',
    join(directory, 'x'),
    ...QUIET,
  ])
  failed(t, url, 2, 'CONFIG_INVALID')
})

t.test('an interrupted keygen leaves no incomplete key set', async (t) => {
  const folder = t.testdir()
  const large = join(folder, 'digits.json')
  const circuit = readCircuit(new Uint8Array(readFileSync(join(CIRCUITS, 'digits.pvc'))))
  writeFileSync(large, JSON.stringify(manifestOf(circuit)))
  const user = new AbortController()
  const args = ['keygen', large, '--keys', join(folder, 'keys'), '--out', join(folder, 'set')]
  const running = polyveil(args, { signal: user.signal })
  while (!readdirSync(folder).some((file) => file.endsWith('.part'))) await sleep(20)
  user.abort()
  const { code, stderr } = await running
  t.equal(code, 130)
  t.match(stderr, /polyveil: stopped\n$/)
  t.strictSame(
    readdirSync(folder).filter((file) => file.startsWith('set')),
    [],
  )
})
