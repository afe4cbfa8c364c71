import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { goldenTensors } from '../models/support/golden.ts'
import { safetensors } from './safetensors.ts'
import { goldenOf, polyveil, sourceOf } from './support.ts'

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
      // Never exactly zero: golden logits were rounded to float32.
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
    weights: { entry: null, entries: [] },
    preprocessing: null,
  })
})

t.test('golden logits that are wrong fail the check with exit code 1', async (t) => {
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
