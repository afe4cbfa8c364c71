import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { manifestOf, readCircuit, writeCircuit } from '../../src/circuit/index.ts'
import { connect, directoryKeyStore } from '../../src/client/index.ts'
import { goldenTensors, item } from '../models/support/golden.ts'
import { isThorough } from '../support/thorough.ts'
import { startService } from './service.ts'
import { failed, goldenOf, polyveil, sourceOf, zooPath } from './support.ts'

// Batches on the command line: several images share ciphertexts.

const QUIET = ['--json', '--quiet']
const directory = t.testdir()
const models = join(directory, 'models')
mkdirSync(models)
const path = join(models, 'two.pvc')
const compile = (...flags: string[]) =>
  polyveil(['compile', ...sourceOf('one_shot'), '--preprocessing', 'imagenet', ...flags])
// With refreshes keys are small and inferences fast; several commands make them.
const small = ['--refresh', 'client', '--ring', '8192']
const compiled = await compile('--batch', '2', ...small, '--out', path, ...QUIET)

t.test('compile and inspect show the batch and the seconds of an image', async (t) => {
  t.equal(compiled.code, 0)
  const { batch, estimate } = compiled.json
  t.equal(batch, 2)
  t.equal(estimate.secondsPerImage, estimate.seconds / 2)
  t.equal(readCircuit(new Uint8Array(readFileSync(path))).batch, 2)
  const { plan } = (await polyveil(['inspect', path, ...QUIET])).json
  t.match(plan, { batch: 2, secondsPerImage: plan.seconds / 2 })
  const shown = (await polyveil(['inspect', path])).stdout.toString()
  t.match(shown, /\nestimated .* on one core for a batch of 2 images, .* each, /)
  t.match(shown, '- 2 images share the ciphertexts, with 2048 slots each')
  const text = (await polyveil(['inspect', path, '--text'])).stdout.toString()
  t.match(text, '\nbatch of 2 images, 2048 slots each\n')
})

t.test('compile plans one image by default; --batch auto plans as many as have room', async (t) => {
  const oneShot = ['--refresh', 'never', '--ring', '16384', '--dry-run', '--speeds', 'reference', ...QUIET]
  t.equal((await compile(...oneShot)).json.batch, 1)
  t.equal((await compile('--batch', 'auto', ...oneShot)).json.batch, 2)
})

t.test('invalid batches, and batches that do not fit, are refused', async (t) => {
  for (const batch of ['0', '3', '-2', '1.5', 'many', '', '1e1']) {
    failed(t, await compile('--batch', batch, '--dry-run', ...QUIET), 2, 'CONFIG_INVALID')
  }
  const many = await compile('--batch', '64', '--ring', '8192', '--dry-run', ...QUIET)
  failed(t, many, 3, 'CONFIG_INVALID', { batch: 64, slots: 64 })
  const deep = ['--batch', '2', '--refresh', 'never', '--ring', '8192', '--dry-run', ...QUIET]
  failed(t, await compile(...deep), 4, 'DEPTH_EXCEEDED')
})

t.test('verify groups images; the last batch may be partly empty', async (t) => {
  const verify = (...flags: string[]) => polyveil(['verify', path, ...goldenOf('one_shot'), ...flags])
  const clear = (await verify('--backend', 'clear', ...QUIET)).json
  t.match(clear, { ok: true, images: 4, batch: 2, top1Agreement: 1 })
  t.ok(clear.maxAbsError < 1e-4)
  const { json } = await verify('--count', '3', ...QUIET)
  t.match(json, { ok: true, backend: 'simd', images: 3, batch: 2 })
  const { encrypt, execute, refreshClient, decrypt } = json.seconds
  t.equal(json.secondsPerImage, (encrypt + execute + refreshClient + decrypt) / 3)
  t.ok(json.maxAbsError > 1e-7 && json.maxAbsError < 1e-2)
  if (!isThorough) return
  const seal = await verify('--count', '2', '--backend', 'seal')
  t.equal(seal.code, 0)
  t.match(seal.stdout.toString(), /^seal: 2 images in batches of 2, same top-1 on 100\.0 %\n/)
})

t.test('verify names the image of a batch that leaves the range', async (t) => {
  // This bound on logits is lower than the logits of one image.
  const logits = (await goldenTensors('one_shot')).get('logits')!
  const peaks = [0, 1, 2, 3].map((k) => Math.max(...item(logits, k).data.map(Math.abs)))
  const [most, second] = peaks.toSorted((a, b) => b - a)
  const circuit = readCircuit(new Uint8Array(readFileSync(path)))
  const narrow = join(directory, 'narrow.pvc')
  const output = { ...circuit.output, bound: (most + second) / 2 }
  writeFileSync(narrow, writeCircuit({ ...circuit, output }))
  const flags = [...goldenOf('one_shot'), '--backend', 'clear', ...QUIET]
  const { code, json } = await polyveil(['verify', narrow, ...flags])
  t.equal(code, 1)
  t.match(json, { ok: false, images: 4, batch: 2, top1Agreement: 1 })
  t.strictSame(json.outOfRange, [peaks.indexOf(most)])
  t.ok(json.maxAbsError < 1e-4, 'the other image of its batch is compared, too')
})

t.test('classify uses as few inferences as possible; encrypt and decrypt take a batch', async (t) => {
  const service = await startService(join(directory, 'data'), '--models', models)
  t.teardown(() => service.stop())
  const keys = join(directory, 'keys')
  const files = ['digits-3-0', 'digits-7-0', 'digits-1-0'].map((name) => zooPath(`digits/images/${name}.png`))
  const flags = ['--url', service.url, '--model', 'two', '--keys', keys]
  const { code, json, stderr } = await polyveil(['classify', ...files, ...flags, '--top', '10', '--json'])
  t.equal(code, 0, stderr)
  t.strictSame(
    json.images.map(({ file }: { file: string }) => file),
    files,
  )
  t.match(stderr, /digits-3-0\.png and 1 more: waiting for the server/)
  t.match(stderr, /digits-1-0\.png: waiting for the server/)
  t.notMatch(stderr, /digits-7-0\.png/)

  const manifest = join(directory, 'manifest.json')
  writeFileSync(manifest, JSON.stringify(manifestOf(readCircuit(new Uint8Array(readFileSync(path))))))
  const local = ['--manifest', manifest, '--keys', keys]
  const query = join(directory, 'query')
  const encrypted = await polyveil(['encrypt', ...files.slice(1), ...local, '--out', query, ...QUIET])
  t.match(encrypted.json, { images: 2 })
  failed(t, await polyveil(['encrypt', ...files, ...local, '--out', query, ...QUIET]), 3, 'CONFIG_INVALID', {
    images: 3,
    batch: 2,
  })
  using client = await connect(service.url, { keys: directoryKeyStore(keys) })
  const input = await client.infer('two', readFileSync(query))
  const decrypt = (...more: string[]) => polyveil(['decrypt', ...local, ...more, ...QUIET], { input })
  const both = (await decrypt('--count', '2', '--top', '10')).json.images
  t.equal(both.length, 2)
  type Class = { readonly index: number; readonly logit: number }
  const logitsOf = ({ classes }: { readonly classes: readonly Class[] }): number[] =>
    classes.toSorted((a, b) => a.index - b.index).map(({ logit }) => logit)
  both.forEach((image: { classes: Class[] }, k: number) => {
    const expected = logitsOf(json.images[1 + k])
    const other = logitsOf(json.images[2 - k])
    const distance = (to: number[]) => Math.max(...logitsOf(image).map((logit, i) => Math.abs(logit - to[i])))
    t.ok(
      distance(expected) < 0.05 && distance(other) > 0.5,
      `image ${k}: ${distance(expected)}, ${distance(other)}`,
    )
  })
  t.strictSame((await decrypt('--top', '10')).json.classes, both[0].classes)
  failed(t, await decrypt('--count', '3'), 2, 'CONFIG_INVALID')
})
