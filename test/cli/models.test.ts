import t from 'tap'
import { polyveil } from './support.ts'

t.test('models lists architectures and bundled networks', async (t) => {
  const { code, json, stderr } = await polyveil(['models', '--json'])
  t.equal(code, 0)
  t.equal(stderr, '')
  t.strictSame(
    json.architectures.map(({ name }: { name: string }) => name),
    [
      'cpolynext-t',
      'cpolynext-s',
      'cpolynext-b',
      'cpolynext-l',
      'apolynext-t',
      'lowres',
      'monet-t',
      'monet-s',
      'dttn-t',
      'dttn-s',
      'dttn-l',
    ],
  )
  t.match(json.architectures[0], { inputSize: [224, 224], classes: 1000, cells: 12, family: 'cpolynext' })
  t.match(json.architectures[4], { name: 'apolynext-t', cells: 12, family: 'cpolynext' })
  t.match(json.architectures[9], { name: 'dttn-s', classes: 1000, cells: 44, family: 'dttn' })
  t.match(json.bundled, [
    { name: 'digits', inputSize: [56, 56], classes: 10, images: 10, labels: ['0', '1'] },
    { name: 'clothing', inputSize: [56, 56], classes: 10, images: 10 },
  ])
  t.ok(json.bundled.every(({ accuracy }: { accuracy: { top1: number } }) => accuracy.top1 > 0.8))
})

t.test('models prints tables without --json', async (t) => {
  const { code, stdout } = await polyveil(['models'])
  t.equal(code, 0)
  t.match(
    stdout.toString(),
    /^architecture +input +classes +cells +family\ncpolynext-t +224x224 +1000 +12 +cpolynext$/m,
  )
  t.match(stdout.toString(), /^digits +56x56 +10 +99\.06 %/m)
})

t.test('the command line prints help and its version', async (t) => {
  const help = await polyveil(['--help'])
  t.equal(help.code, 0)
  for (const name of [
    'models',
    'check',
    'compile',
    'inspect',
    'verify',
    'serve',
    'classify',
    'keygen',
    'encrypt',
    'decrypt',
  ])
    t.match(help.stdout.toString(), new RegExp(`^  ${name} `, 'm'))
  const version = await polyveil(['--version'])
  t.equal(version.code, 0)
  t.match(version.stdout.toString(), /^\d+\.\d+\.\d+\n$/)
  t.match((await polyveil(['compile', '--help'])).stdout.toString(), /--precision <bits>/)
})
