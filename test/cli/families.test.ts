import { join } from 'node:path'
import t from 'tap'
import { casesOf } from '../support/thorough.ts'
import { goldenPath, polyveil, sourceOf } from './support.ts'

// The commands on checkpoints of the families behind the first one.

const directory = t.testdir()

const ALL = ['micro_monet', 'micro_dttn', 'micro_dttn_product', 'micro_attn']

for (const name of casesOf(ALL, ['micro_dttn', 'micro_attn'])) {
  t.test(`${name}: check, compile and verify`, async (t) => {
    const golden = ['--golden', goldenPath(`${name}.golden.safetensors`)]
    const checked = await polyveil(['check', ...sourceOf(name), ...golden, '--json'])
    t.equal(checked.code, 0, checked.stderr)
    t.match(checked.json, { ok: true, images: 4, preprocessing: null })
    t.ok(checked.json.reference.maxAbsError < 1e-5 && checked.json.folded.maxAbsError < 1e-5)

    const out = join(directory, `${name}.pvc`)
    const compiled = await polyveil(['compile', ...sourceOf(name), '--out', out, '--ring', '8192', '--json'])
    t.equal(compiled.code, 0, compiled.stderr)
    t.ok(compiled.json.segments > 1, 'it has refreshes')

    const verified = await polyveil(['verify', out, ...golden, '--count', '1', '--backend', 'simd', '--json'])
    t.equal(verified.code, 0, verified.stderr)
    t.equal(verified.json.top1Agreement, 1)
    t.ok(verified.json.rounds > 0)
  })
}

t.test('the config of another family is refused by name', async (t) => {
  const { code, stderr } = await polyveil([
    'check',
    goldenPath('micro_monet.pt'),
    '--config',
    goldenPath('micro_dttn.json'),
    '--quiet',
  ])
  t.equal(code, 3)
  t.match(stderr, /CONFIG_INVALID/)
  t.match(stderr, /config says DTTN, but the checkpoint looks like MONet/)
})

t.test('flags replace the fields of each family', async (t) => {
  const wrong = await polyveil(['check', ...sourceOf('micro_dttn'), '--classes', '7', '--json'])
  t.equal(wrong.code, 3)
  t.match(wrong.json, { error: { code: 'TENSOR_SHAPE', facts: { tensor: 'head.1.weight' } } })
  const named = await polyveil(['check', ...sourceOf('micro_monet'), '--preprocessing', 'monet', '--json'])
  t.match(named.json, {
    preprocessing: { mean: [0.5, 0.5, 0.5], resize: { size: 37, height: 32, width: 32 } },
  })
})
