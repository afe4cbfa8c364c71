import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { safetensors } from '../cli/safetensors.ts'
import { startService } from '../cli/service.ts'
import { goldenPath, zooPath } from '../cli/support.ts'
import { goldenTensors, item } from '../models/support/golden.ts'
import { code, DOCUMENTED_URL, module, page, project, shell } from './support.ts'

t.test('the two commands and npm start are scripts of the package', async (t) => {
  const { scripts } = JSON.parse(page('package.json'))
  const commands = [...page('README.md').matchAll(/npm (?:run )?(start|test|demo|bench)\b/g)].map(
    ([, name]) => name,
  )
  t.strictSame([...new Set(commands)].sort(), ['bench', 'demo', 'start', 'test'])
  for (const name of commands) t.type(scripts[name], 'string', name)
})

t.test('every command and snippet has a test', async (t) => {
  const pages = [
    'README.md',
    ...readdirSync(new URL('../../docs/', import.meta.url)).map((name) => `docs/${name}`),
  ]
  const blocks = pages.flatMap((path) =>
    [...page(path).matchAll(/^```(sh|ts)\n/gm)].map(([, language]) => `${path} ${language}`),
  )
  const counted: Record<string, number> = {}
  for (const block of blocks) counted[block] = (counted[block] ?? 0) + 1
  t.strictSame(counted, {
    'README.md sh': 3, // test/demo.test.ts tests the two commands, this file the last block
    'README.md ts': 1, // tested in service.test.ts, as are all of the library except the first
    'docs/adding-a-family.md sh': 1, // tested in families.test.ts
    'docs/getting-started.md sh': 9, // tested in getting-started.test.ts, except the first
    'docs/http-api.md sh': 10, // the last, of refresh rounds, is tested in rounds.test.ts
    'docs/library.md sh': 1, // tested in test/browser, as are the last three of the library in TypeScript
    'docs/library.md ts': 5,
    'docs/models.md sh': 1, // tested in accuracy.test.ts
    'docs/several-machines.md sh': 3, // tested in several-machines.test.ts
  })
})

t.test('links of the documentation lead to existing files', async (t) => {
  for (const path of [
    'README.md',
    'docs/adding-a-family.md',
    'docs/architecture.md',
    'docs/attention.md',
    'docs/families.md',
    'docs/getting-started.md',
    'docs/http-api.md',
    'docs/library.md',
    'docs/models.md',
    'docs/network-config.md',
    'docs/parameters.md',
    'docs/preprocessing.md',
    'docs/several-machines.md',
    'docs/threat-model.md',
  ]) {
    const links = [...page(path).matchAll(/\]\((?!https?:)([^)#]+)(#[\w-]+)?\)/g)].map(([, target]) => target)
    for (const target of links) {
      const file = new URL(target, new URL(`../../${path}`, import.meta.url))
      t.ok(existsSync(file), `${path} links to ${target}`)
    }
  }
})

t.test('the commands from a checkpoint to answers in the README work', async (t) => {
  const golden = await goldenTensors('one_shot')
  const first = (name: string) => {
    const { shape, data } = item(golden.get(name)!, 0)
    return { shape: [1, ...shape], data }
  }
  // One golden image is enough to run the commands; test/cli verifies more.
  const directory = project(t, {
    'network.pt': readFileSync(goldenPath('one_shot.pt')),
    'network.json': JSON.stringify({
      ...JSON.parse(readFileSync(goldenPath('one_shot.json'), 'utf8')),
      preprocessing: 'imagenet',
    }),
    'golden.safetensors': safetensors({ input: first('input'), logits: first('logits') }),
    'photo.png': readFileSync(zooPath('digits/images/digits-5-0.png')),
  })
  const [commands, classification] = code('README.md', '## From your own checkpoint to answers', 'sh')
  const [serve] = commands.match(/^npx polyveil serve (.*)$/m) ?? []
  t.equal(serve, 'npx polyveil serve --models models', 'the service runs in another terminal')
  const made = await shell(directory, commands.replace(serve!, ''))
  t.equal(made.code, 0, made.stderr)
  t.match(made.stdout, /Both are within/, 'check')
  t.match(made.stdout, /models\/mine\.pvc: \d+ bytes/, 'compile')
  t.match(made.stdout, /^mine, circuit [0-9a-f]{16}$/m, 'inspect')
  t.match(readFileSync(join(directory, 'plan.html'), 'utf8'), '<h1>mine</h1>')
  t.match(made.stdout, /The verification holds\./, 'verify')

  const service = await startService(join(directory, 'data'), '--models', join(directory, 'models'))
  t.teardown(() => service.stop())
  const answer = await shell(directory, classification.replace(DOCUMENTED_URL, service.url))
  t.equal(answer.code, 0, answer.stderr)
  t.match(answer.stdout, /^photo\.png\nclass +score +logit\n/)

  await t.test('the program of docs/library.md compiles the same network', async (t) => {
    const [snippet] = code('docs/library.md', '## polyveil', 'ts')
    const compiled = await module(directory, 'compile.ts', snippet)
    t.equal(compiled.code, 0, compiled.stderr)
    t.match(compiled.stdout, /^\d+ rotations, \d+\.\d bits of precision\n$/)
    t.ok(existsSync(join(directory, 'mine.pvc')))
  })
})
