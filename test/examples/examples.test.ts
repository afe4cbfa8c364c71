import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../../scripts/building/paths.ts'
import { findChromium, launch } from '../browser/chromium.ts'
import { servePages } from '../browser/pages.ts'
import { startService } from '../cli/service.ts'
import { filesIn, polyveil, sourceOf, zooPath } from '../cli/support.ts'
import { DOCUMENTED_URL, page, project, run } from '../docs/support.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'

// Every program of examples/ is run against one service, in a project that has the package. The training of
// docs/getting-started.md is tested with that page.

const EXAMPLES = join(ROOT, 'examples')
const programs = ['classify.mjs', 'client.py', 'page.html', 'photos-to-csv.mjs', 'routes.sh']
const directory = project(t, Object.fromEntries(programs.map((name) => [name, page(`examples/${name}`)])))
const digit = (k: number): string => zooPath(`digits/images/digits-${k}-0.png`)
copyFileSync(digit(3), join(directory, 'photo.png'))

const port = await servePages(t, [
  ['/node_modules/polyveil/', ROOT],
  ['/node_modules/', join(ROOT, 'node_modules/')],
  ['/', `${directory}/`],
])
const origin = `http://127.0.0.1:${port}`
const models = join(directory, 'models')
await writeDigitsOfFewKeys(models)
// A model that takes two images in a query.
const two = ['--preprocessing', 'imagenet', '--refresh', 'client', '--ring', '8192', '--batch', '2']
const compiled = await polyveil([
  'compile',
  ...sourceOf('one_shot'),
  ...two,
  '--out',
  join(models, 'two.pvc'),
])
const config = join(directory, 'server.json')
writeFileSync(config, JSON.stringify({ modelsDir: models, allowedOrigins: [origin] }))
const data = join(directory, 'data')
const service = await startService(data, '--config', config)
t.teardown(() => service.stop())

const python = ['/usr/bin/python3', 'python3'].find((command) => {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})

t.test('examples/README.md lists every file', async (t) => {
  t.equal(compiled.code, 0, compiled.stderr)
  const listed = [...page('examples/README.md').matchAll(/^\| \[(\S+)\]\(\1\) \|/gm)].map(([, name]) => name)
  const files = readdirSync(EXAMPLES).filter((name) => /\.(mjs|py|sh|html|json)$/.test(name))
  t.strictSame(listed.toSorted(), files.toSorted())
  for (const name of programs) t.ok(files.includes(name), name)
})

t.test('classify.mjs has less than twenty lines, and page.html twenty', async (t) => {
  t.ok(page('examples/classify.mjs').trimEnd().split('\n').length < 20)
  t.ok(page('examples/page.html').trimEnd().split('\n').length <= 20)
})

t.test('programs without arguments say how to use them', async (t) => {
  const started: [program: string, name: string][] = [
    [process.execPath, 'classify.mjs'],
    [process.execPath, 'photos-to-csv.mjs'],
    ['bash', 'routes.sh'],
    ...(python === undefined ? [] : [[python, 'client.py'] satisfies [string, string]]),
  ]
  for (const [program, name] of started) {
    const ran = await run(directory, program, name)
    t.equal(ran.code, 2, name)
    t.match(
      ran.stderr,
      new RegExp(
        `^usage: .*${name.replace('.', '\\.')}.*\\n(.*error: the following arguments are required: image\\n)?$`,
        'i',
      ),
    )
    t.equal(ran.stdout, '')
  }
})

t.test('programs end with one sentence when a picture or the service is missing', async (t) => {
  writeFileSync(join(directory, 'no-picture.png'), 'no picture')
  const fails = async (message: RegExp, program: string, ...args: string[]): Promise<void> => {
    const ran = await run(directory, program, ...args)
    t.equal(ran.code, 1, args.join(' '))
    t.match(ran.stderr, message)
    t.notMatch(ran.stderr, /^ +at |Traceback|node:internal|Node\.js v/m)
  }
  const node = process.execPath
  const one = /^[^\n]+\n$/
  await fails(one, node, 'classify.mjs', 'no-picture.png', service.url)
  await fails(/^ENOENT[^\n]*missing\.png'\n$/, node, 'classify.mjs', 'missing.png', service.url)
  await fails(one, node, 'classify.mjs', 'photo.png', 'http://127.0.0.1:1')
  await fails(/^ENOENT[^\n]*no-folder'\n$/, node, 'photos-to-csv.mjs', 'no-folder', 'x.csv', service.url)
  await fails(/^missing\.png is missing, or may not be read\n$/, 'bash', 'routes.sh', 'missing.png')
  await fails(/IMAGE_UNREADABLE/, 'bash', 'routes.sh', 'no-picture.png', service.url)
  if (python !== undefined)
    await fails(/^IMAGE_UNREADABLE: /, python, 'client.py', 'missing.png', '--url', service.url)
})

t.test(
  'Python programs name what they lack',
  { skip: python === undefined && 'There is no Python' },
  async (t) => {
    const alone = join(directory, 'alone')
    mkdirSync(alone)
    for (const name of ['train.py', 'polynext.py', 'shapes.py', 'client.py'])
      writeFileSync(join(alone, name), page(`examples/${name}`))
    const withoutTorch = "import runpy, sys; sys.modules['torch'] = None; runpy.run_path('train.py')"
    const withoutCommand = `import runpy, subprocess as s; s.run = lambda *_, **__: s.CompletedProcess([], 1, b''); \
import sys; sys.argv = ['client.py', '../photo.png', '--url', '${service.url}']; runpy.run_path('client.py', run_name='__main__')`
    const ends = async (message: RegExp, source: string): Promise<void> => {
      const ran = await run(alone, python!, '-c', source)
      t.equal(ran.code, 1)
      t.match(ran.stderr, message)
    }
    await ends(/^There is no network\.json here: [^\n]+\n$/, withoutTorch)
    writeFileSync(join(alone, 'network.json'), page('examples/network.json'))
    await ends(/^There is no PyTorch: [^\n]+\n$/, withoutTorch)
    await ends(/^The command line of PolyVeil did not start: [^\n]+\n$/, withoutCommand)
  },
)

t.test('classify.mjs prints the best class', async (t) => {
  const ran = await run(directory, process.execPath, 'classify.mjs', 'photo.png', service.url)
  t.equal(ran.code, 0, ran.stderr)
  t.match(ran.stdout, /^3: \d+\.\d %\n$/)
})

t.test('photos-to-csv.mjs writes a line for each picture of a folder', async (t) => {
  const photos = join(directory, 'photos')
  mkdirSync(photos)
  for (const k of [0, 1, 7]) copyFileSync(digit(k), join(photos, `${k}, digit.png`))
  writeFileSync(join(photos, 'damaged.jpg'), 'no picture')
  writeFileSync(join(photos, 'notes.txt'), 'no picture either')
  const toCsv = (out: string, ...more: string[]) =>
    run(directory, process.execPath, 'photos-to-csv.mjs', 'photos', out, service.url, ...more)
  const ran = await toCsv('digits.csv')
  t.equal(ran.code, 0, ran.stderr)
  t.equal(ran.stdout, '4 pictures, 1 in a query\n')
  const lines = (name: string): string[] => readFileSync(join(directory, name), 'utf8').split('\r\n')
  t.equal(lines('digits.csv')[0], 'file,label,score,error')
  for (const [line, k] of [0, 1, 7].entries()) {
    t.match(lines('digits.csv')[1 + line], new RegExp(`^"${k}, digit\\.png",${k},[01]\\.\\d{4},$`))
  }
  t.strictSame(lines('digits.csv').slice(4), ['damaged.jpg,,,IMAGE_UNREADABLE', ''])

  const before = await inferences('two')
  const batched = await toCsv('two.csv', 'two')
  t.equal(batched.stdout, '4 pictures, 2 in a query\n', batched.stderr)
  t.equal(lines('two.csv').length, 6)
  t.equal((await inferences('two')) - before, 2, 'three pictures are sent in two queries')
})

/** Inferences of a model that the service has done. */
async function inferences(model: string): Promise<number> {
  const metrics = await (await fetch(new URL('/metrics', service.url))).text()
  const line = new RegExp(`^polyveil_inferences_total\\{model="${model}",outcome="ok"\\} (\\d+)$`, 'm')
  return Number(line.exec(metrics)?.[1] ?? 0)
}

t.test('routes.sh goes through the routes and deletes its keys', async (t) => {
  const before = filesIn(data)
  const ran = await run(directory, 'bash', 'routes.sh', 'photo.png', service.url)
  t.equal(ran.code, 0, ran.stderr)
  t.match(
    ran.stdout,
    /^1\. The manifest.*\n2\. Keys[\s\S]*\n4\. [1-9]\d* refresh rounds[\s\S]*\nclass +score +logit\n +3 /,
  )
  t.strictSame(filesIn(data), before)
  const unknown = await run(directory, 'bash', 'routes.sh', 'photo.png', service.url, 'faces')
  t.not(unknown.code, 0)
  t.match(unknown.stderr, /404/)
})

const noPython = python === undefined && 'There is no python3: install it'

t.test('client.py classifies, keeps its keys and reports errors', { skip: noPython }, async (t) => {
  const client = (...args: string[]) => run(directory, python!, 'client.py', 'photo.png', '--url', ...args)
  const ran = await client(service.url)
  t.equal(ran.code, 0, ran.stderr)
  t.match(ran.stdout, /^3: \d+\.\d %\n(\d: \d+\.\d %\n){2}$/)
  const id = join(directory, 'polyveil-client', 'digits.key-set-id')
  const kept = readFileSync(id, 'utf8')
  t.match((await client(service.url)).stdout, /^3: /)
  t.equal(readFileSync(id, 'utf8'), kept, 'the key set is used again')

  const deleted = await fetch(new URL('/v2/keys', service.url), {
    method: 'DELETE',
    headers: { 'PolyVeil-Key-Set': kept },
  })
  t.equal(deleted.status, 204)
  t.match((await client(service.url)).stdout, /^3: /, 'keys that the server has lost are uploaded anew')
  t.not(readFileSync(id, 'utf8'), kept)

  const unknown = await client(service.url, '--model', 'faces')
  t.equal(unknown.code, 1)
  t.match(unknown.stderr, /^MODEL_UNKNOWN: /)
  const closed = await client('http://127.0.0.1:1')
  t.equal(closed.code, 1)
  t.match(closed.stderr, /refused/)
  writeFileSync(join(directory, 'text.png'), 'no image')
  const text = await run(directory, python!, 'client.py', 'text.png', '--url', service.url)
  t.equal(text.code, 1)
  t.match(text.stderr, /^IMAGE_UNREADABLE: /)
})

const executable = findChromium()
const noChromium = executable === undefined && 'There is no Chromium: install it, or name one in CHROMIUM'

t.test('page.html classifies the image that a user chooses', { skip: noChromium }, async (t) => {
  const html = page('examples/page.html')
  t.match(html, DOCUMENTED_URL)
  writeFileSync(join(directory, 'page.html'), html.replaceAll(DOCUMENTED_URL, service.url))
  const context = await launch(t, executable!)
  context.setDefaultTimeout(120_000)
  const tab = await context.newPage()
  await tab.goto(`${origin}/page.html`)
  await tab.locator('input').setInputFiles(digit(5))
  await tab.waitForFunction(() => document.querySelector('output')?.textContent)
  t.equal(await tab.locator('output').textContent(), '5')
})
