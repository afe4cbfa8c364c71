import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeCircuit } from '../../src/circuit/index.ts'
import { circuit, expectedLogits, image, MODEL, manifest, sizes } from '../server/refreshed-service.ts'
import { safetensors } from './safetensors.ts'
import { startService } from './service.ts'
import { failed, polyveil, zooPath } from './support.ts'

const QUIET = ['--json', '--quiet']
const directory = t.testdir()
const models = join(directory, 'models')
mkdirSync(models)
const path = join(models, 'refreshed.pvc')
writeFileSync(path, writeCircuit(circuit))

t.test('verify runs refresh rounds, and states their bytes and seconds', async (t) => {
  const golden = join(directory, 'golden.safetensors')
  const input = { shape: [1, 3, 3, 5], data: Float32Array.from(image.tensor) }
  writeFileSync(
    golden,
    safetensors({ input, logits: { shape: [1, 3], data: Float32Array.from(expectedLogits) } }),
  )
  const verify = (backend: string) =>
    polyveil(['verify', path, '--golden', golden, '--backend', backend, ...QUIET])
  const { code, json } = await verify('simd')
  t.equal(code, 0, `${json.maxAbsError}`)
  t.match(json, { ok: true, backend: 'simd', rounds: 2, top1Agreement: 1 })
  t.ok(json.seconds.refreshClient > 0 && json.seconds.execute > 0)
  t.ok(json.seconds.refreshClient + json.seconds.execute < json.seconds.total)
  const { query, response, keys, rounds } = sizes
  t.strictSame(json.bytes, {
    keys,
    query,
    response,
    refreshUp: rounds[0].up + rounds[1].up,
    refreshDown: rounds[0].down + rounds[1].down,
  })
  const clear = await verify('clear')
  t.match(clear.json, { ok: true, rounds: 0, bytes: { refreshUp: 0, refreshDown: 0 } })
  failed(t, await verify('seal'), 3, 'CONFIG_INVALID')
})

t.test('classify runs refresh rounds; refresh runs one of them', async (t) => {
  const service = await startService(join(directory, 'data'), '--models', models)
  t.teardown(() => service.stop())
  const photo = zooPath('digits/images/digits-3-0.png')
  const flags = ['--url', service.url, '--model', MODEL, '--keys', join(directory, 'keys')]
  const classified = await polyveil(['classify', photo, ...flags, '--json'])
  t.equal(classified.code, 0, classified.stderr)
  t.equal(classified.json.images[0].classes.length, 3)
  t.match(classified.stderr, /digits-3-0\.png: refreshing, 2 rounds/)

  const manifestFile = join(directory, 'manifest.json')
  writeFileSync(manifestFile, JSON.stringify(manifest))
  const masked = join(directory, 'masked')
  writeFileSync(masked, new Uint8Array(100))
  const refresh = (round: string) =>
    polyveil([
      'refresh',
      masked,
      ...['--round', round, '--manifest', manifestFile, '--keys', join(directory, 'keys')],
      ...['--out', join(directory, 'out'), ...QUIET],
    ])
  failed(t, await refresh('0'), 3, 'TENSOR_MALFORMED')
  failed(t, await refresh('2'), 3, 'CONFIG_INVALID', { rounds: 2 })
})
