import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { readCircuit, readOutline, writeCircuit } from '../../../src/circuit/format/file.ts'
import { checkManifest } from '../../../src/circuit/manifest/manifest.ts'
import { parseSafetensors, readCheckpoint } from '../../../src/models/checkpoint/index.ts'
import { unpickle } from '../../../src/models/checkpoint/pickle/unpickle.ts'
import { parseConfig } from '../../../src/models/index.ts'
import { createToken } from '../../../src/server/access/manage-tokens.ts'
import { TenantFiles } from '../../../src/server/access/tenant-files.ts'
import { Tenants } from '../../../src/server/access/tenants.ts'
import { newToken, tokenParts, tokenText } from '../../../src/server/access/token.ts'
import { readConfig } from '../../../src/server/config.ts'
import { complexCircuit, smallCircuit } from '../../circuit/circuits.ts'
import { refreshedCircuit } from '../../he-ops/simd/circuits.ts'
import { goldenFile } from '../../models/support/golden.ts'
import { dictionary, pickle, tensor, text } from '../../models/support/pickle.ts'
import { zip } from '../../models/support/zip.ts'
import { model } from '../support.ts'
import { hostileBytes, hostileText, mutated, neverFails, resealed } from './fuzz.ts'

// Files that an operator or a user is given: circuits, checkpoints, manifests, tenants, settings.

const CHECKPOINT = ['CHECKPOINT_UNREADABLE', 'CHECKPOINT_UNSAFE', 'TOO_LARGE']
const folder = t.testdir({ tenants: {} })

const circuits = [smallCircuit(), complexCircuit(), refreshedCircuit()].map(writeCircuit)

t.test('circuit files are read or refused with a code', async () => {
  await neverFails(hostileBytes(circuits, resealed), 150, readCircuit)
  await neverFails(hostileBytes(circuits, resealed), 300, (bytes) => readOutline(bytes, bytes.length))
})

t.test('a number of a circuit file that is not finite is refused, although the digest fits', async (t) => {
  const small = smallCircuit()
  const bytes = writeCircuit(small)
  const value = Buffer.alloc(8)
  value.writeDoubleLE(small.constants[1][0])
  const at = Buffer.from(bytes).indexOf(value)
  t.ok(at > 0, 'the file has the constant')
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (const number of [Number.NaN, Infinity, -Infinity]) {
    view.setFloat64(at, number, true)
    t.throws(
      () => readCircuit(resealed(bytes)),
      { code: 'CONFIG_INVALID', message: /not finite/ },
      `${number}`,
    )
  }
  view.setFloat64(at, value.readDoubleLE(), true)
  t.ok(readCircuit(resealed(bytes)))
})

t.test('safetensors are read or refused with a code', async () => {
  const good = new Uint8Array(readFileSync(goldenFile('one_shot.golden.safetensors')))
  await neverFails(hostileBytes([good]), 300, parseSafetensors, CHECKPOINT)
})

t.test('pickles are read or refused with a code', async () => {
  const good = [
    pickle(dictionary({ a: tensor({ elements: 2, shape: [2], strides: [1] }), b: text('x') })),
    pickle(
      dictionary({ state_dict: dictionary({ a: tensor({ elements: 6, shape: [2, 3], strides: [3, 1] }) }) }),
    ),
  ]
  await neverFails(hostileBytes(good), 2000, unpickle, CHECKPOINT)
})

t.test('PyTorch files are read or refused with a code', async () => {
  const good = [
    readFileSync(goldenFile('one_shot.pt')),
    zip([
      {
        name: 'any/data.pkl',
        content: pickle(dictionary({ a: tensor({ elements: 2, shape: [2], strides: [1] }) })),
      },
      { name: 'any/data/0', content: new Uint8Array(8) },
    ]),
  ]
  const path = join(folder, 'fuzzed.pt')
  await neverFails(
    hostileBytes(good),
    150,
    (bytes) => {
      writeFileSync(path, bytes)
      return readCheckpoint(path)
    },
    CHECKPOINT,
  )
})

t.test('manifests are accepted or refused with a code', async () => {
  const good = JSON.stringify(model.manifest)
  const parsed = hostileText(good).map((json) => {
    try {
      return JSON.parse(json) as unknown
    } catch {
      return json
    }
  })
  await neverFails(fc.oneof(parsed, fc.jsonValue()), 300, checkManifest)
})

t.test('configs of networks are read or refused with a code', async () => {
  const good = readFileSync(goldenFile('one_shot.json'), 'utf8')
  const inputs = fc.oneof(fc.jsonValue(), hostileText(good).map(parsedOr))
  await neverFails(inputs, 200, (config) => parseConfig(config))
})

t.test('settings are read or refused with a code', async () => {
  const path = join(folder, 'settings.json')
  const good = JSON.stringify({
    modelsDir: 'm',
    workers: 2,
    trustProxy: '10.0.0.0/8',
    allowedOrigins: ['https://a.b'],
  })
  const inputs = hostileBytes([Buffer.from(good)])
  await neverFails(
    inputs,
    150,
    (bytes) => {
      writeFileSync(path, bytes)
      return readConfig({ file: path })
    },
    ['CONFIG_INVALID'],
  )
})

t.test('a damaged file of a tenant is refused, and others keep their tokens', async (t) => {
  const files = new TenantFiles(folder)
  const { text: token } = await createToken(files, { tenant: 'clinic', scopes: ['infer'], quota: {} })
  await createToken(files, { tenant: 'bank', scopes: ['infer'], quota: { images: 5 } })
  const path = join(folder, 'tenants', 'bank.json')
  const good = readFileSync(path)
  await neverFails(
    hostileBytes([good]),
    80,
    async (bytes) => {
      writeFileSync(path, bytes)
      const tenants = new Tenants(files, { info() {}, warn() {} })
      await tenants.refresh()
      // Throws UNAUTHENTICATED, which the property does not take, if the other tenant is locked out.
      tenants.owner(token)
      await files.read('bank')
    },
    ['CONFIG_INVALID'],
  )
  t.pass()
})

t.test('texts are tokens or not', async () => {
  const good = tokenText(newToken())
  await neverFails(hostileText(good), 500, (text) => {
    const parts = tokenParts(text)
    if (parts && tokenText(parts) !== text) throw new Error('another token')
  })
  await neverFails(mutated([Buffer.from(good)]), 500, (bytes) =>
    tokenParts(Buffer.from(bytes).toString('latin1')),
  )
})

function parsedOr(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return json
  }
}
