import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startService } from '../cli/service.ts'
import { zooPath } from '../cli/support.ts'
import { code, DOCUMENTED_URL, module, project, shell } from './support.ts'

// Snippets and sessions with the bundled networks on one service. They share a key directory, as those of
// users do.

const directory = project(t, {
  'photo.png': readFileSync(zooPath('digits/images/digits-3-0.png')),
  'ankle-boot.png': readFileSync(zooPath('clothing/images/clothing-ankle-boot-0.png')),
})
const service = await startService(join(directory, 'data'))
t.teardown(() => service.stop())
const here = (text: string): string => text.replaceAll(DOCUMENTED_URL, service.url)
const file = (name: string): string => readFileSync(join(directory, name), 'utf8')

t.test('the session of docs/http-api.md works', async (t) => {
  const script = here(code('docs/http-api.md', '## A session', 'sh').join('\n'))
  t.equal(script.split(service.url).length, 2, 'the session names the address once')
  const { code: status, stdout, stderr } = await shell(directory, script)
  t.equal(status, 0, stderr)
  t.match(JSON.parse(file('manifest.json')), { format: 'polyveil-manifest-2', model: 'digits' })
  t.match(stdout, '"extensions":["binary_tensor_data","polyveil_ckks"]')
  t.match(stdout, '{"ready":true}')
  const created = JSON.parse(file('upload.json'))
  t.match(created, { uploadOffset: 0, bytes: readFileSync(join(directory, 'key-set')).length })
  t.match(JSON.parse(file('stored.json')), { id: created.id, complete: true, digest: /^[0-9a-f]{64}$/ })
  const offsets = [...stdout.matchAll(/"uploadOffset":(\d+)/g)].map(([, offset]) => Number(offset))
  t.strictSame(
    offsets,
    offsets.toSorted((a, b) => a - b),
  )
  t.equal(offsets.at(-1), created.bytes)
  t.match(file('headers'), /^HTTP\/1\.1 200/)
  t.match(stdout, '{"model_name":"digits","model_version":"1","id":"first"')
  t.match(file('events').trim().split('\n\n').at(-1), /^event: end\ndata: .*"state":"done"/)
  t.match(JSON.parse(file('decrypted.json')).classes[0], { label: '3' }, 'the decrypted answer is the digit')
  t.match(file('metrics'), 'polyveil_inferences_total{model="digits",outcome="ok"} 2')
  t.match(file('metrics'), /^polyveil_key_sets 0$/m, 'the key set is deleted')
})

t.test('the SDK snippet of the README works', async (t) => {
  const [snippet] = code('README.md', '## From your own checkpoint to answers', 'ts')
  const image =
    "import { readFile } from 'node:fs/promises'\nconst image = await readFile('ankle-boot.png')\n"
  const ran = await module(directory, 'sdk.ts', `${image}${here(snippet)}\nconsole.log(JSON.stringify(best))`)
  t.equal(ran.code, 0, ran.stderr)
  t.match(JSON.parse(ran.stdout), { label: 'ankle boot', score: Number, index: 9 })
  t.ok(existsSync(join(directory, 'keys')))
})

t.test('the separate steps of docs/library.md work', async (t) => {
  const [snippet] = code('docs/library.md', '## polyveil/client', 'ts')
  const ran = await module(directory, 'steps.ts', here(snippet))
  t.equal(ran.code, 0, ran.stderr)
  const lines = ran.stdout.trim().split('\n')
  t.match(
    lines[0],
    /^(keys|infer) \d+ \d+$/,
    'keys are made if those of the other model do not fit; an inference follows',
  )
  const logits: number[] = JSON.parse(lines.slice(lines.findIndex((line) => line.startsWith('['))).join(' '))
  t.equal(logits.length, 10)
  t.equal(logits.indexOf(Math.max(...logits)), 3)
})

t.test('the snippet of docs/library.md gives each image its own outcome', async (t) => {
  const [, snippet] = code('docs/library.md', '## polyveil/client', 'ts')
  writeFileSync(join(directory, 'broken.png'), 'no image')
  const ran = await module(directory, 'settled.ts', here(snippet))
  t.equal(ran.code, 0, ran.stderr)
  t.match(ran.stdout, /^3\nIMAGE_UNREADABLE The file is no image that can be decoded/)
})
