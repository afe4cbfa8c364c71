import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Checkpoint, readCheckpoint } from '../../src/models/index.ts'
import { goldenTensors } from '../models/support/golden.ts'
import { safetensors } from './safetensors.ts'
import { goldenOf, goldenPath, polyveil, sourceOf } from './support.ts'

for (const [name, parameters] of [
  ['micro_t', 42_488],
  ['micro_s', 68_390],
  ['micro_lr', 22_612],
  ['one_shot', 5920],
] as const) {
  t.test(`check agrees with the golden logits of ${name}`, async (t) => {
    const { code, json, stderr } = await polyveil([
      'check',
      ...sourceOf(name),
      ...goldenOf(name),
      '--json',
      '--quiet',
    ])
    t.equal(code, 0)
    t.equal(stderr, '')
    t.match(json, { ok: true, images: 4, parameters })
    for (const side of ['reference', 'folded']) {
      const { maxAbsError } = json[side]
      // The error is never zero, because golden logits were rounded to float32.
      t.ok(maxAbsError > 0 && maxAbsError < 1e-4, `${side} differs by ${maxAbsError}`)
    }
  })
}

t.test('without golden tensors the checkpoint alone is checked', async (t) => {
  const { code, json } = await polyveil(['check', ...sourceOf('one_shot'), '--json'])
  t.equal(code, 0)
  t.strictSame(json, {
    reference: null,
    folded: null,
    images: 0,
    parameters: 5920,
    weights: { entry: 'state_dict', entries: ['state_dict'] },
    preprocessing: null,
  })
})

t.test('check states how much of a difference comes from weights in half precision', async (t) => {
  const checkpoint = await readCheckpoint(goldenPath('one_shot.pt'))
  const folder = t.testdir()
  const path = join(folder, 'half.safetensors')
  writeFileSync(path, halfPrecision(checkpoint))
  const run = (golden: string, ...flags: string[]) =>
    polyveil(['check', path, '--config', goldenPath('one_shot.json'), '--golden', golden, ...flags])
  const [, golden] = goldenOf('one_shot')
  const { code, json } = await run(golden, '--json')
  t.equal(code, 1)
  t.match(json, { ok: false, rounding: { datatype: 'float16', explains: true } })
  t.ok(json.reference.maxAbsError <= 8 * json.rounding.maxAbsError)
  t.ok(
    json.reference.maxAbsError >= json.rounding.maxAbsError / 8,
    'the difference is of the size of the measured rounding',
  )
  t.match((await run(golden)).stdout.toString(), /stored as float16: .* which explains the difference/)

  const tensors = await goldenTensors('one_shot')
  const logits = tensors.get('logits')!
  const wrong = join(folder, 'wrong.safetensors')
  const data = logits.data.map((value) => value + 1)
  writeFileSync(wrong, safetensors({ input: tensors.get('input')!, logits: { shape: logits.shape, data } }))
  t.match((await run(wrong, '--json')).json, { ok: false, rounding: { explains: false } })
  t.match((await run(wrong)).stdout.toString(), 'something else differs, too')
})

/** A safetensors file whose tensors are all rounded to float16. */
function halfPrecision(checkpoint: Checkpoint): Buffer {
  let offset = 0
  const header: Record<string, object> = {}
  const parts: Buffer[] = []
  for (const [name, { shape, data }] of checkpoint) {
    const part = Buffer.alloc(2 * data.length)
    const view = new DataView(part.buffer, part.byteOffset)
    data.forEach((value, i) => {
      view.setFloat16(2 * i, value, true)
    })
    header[name] = { dtype: 'F16', shape, data_offsets: [offset, offset + part.length] }
    offset += part.length
    parts.push(part)
  }
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, ...parts])
}

t.test('wrong golden logits fail the check with exit code 1', async (t) => {
  const tensors = await goldenTensors('one_shot')
  const logits = tensors.get('logits')!
  const data = logits.data.map((value, i) => (i === 17 ? value + 0.001 : value))
  const file = join(t.testdir(), 'wrong.safetensors')
  writeFileSync(file, safetensors({ input: tensors.get('input')!, logits: { shape: logits.shape, data } }))
  const run = (...flags: string[]) => polyveil(['check', ...sourceOf('one_shot'), '--golden', file, ...flags])
  const { code, json } = await run('--json')
  t.equal(code, 1)
  t.equal(json.ok, false)
  for (const side of ['reference', 'folded']) t.ok(Math.abs(json[side].maxAbsError - 0.001) < 1e-5, side)
  const shown = await run()
  t.equal(shown.code, 1)
  t.match(shown.stdout.toString(), 'The check FAILED')
  t.match(
    shown.stderr,
    'loading the checkpoint\nfloat reference\nfolded graph\n',
    'progress goes to stderr, line by line',
  )
})
