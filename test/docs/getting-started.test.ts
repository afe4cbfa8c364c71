import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startService } from '../cli/service.ts'
import { zooPath } from '../cli/support.ts'
import { code, DOCUMENTED_URL, page, project, run, shell } from './support.ts'

const PAGE = 'docs/getting-started.md'
const EXAMPLES = ['polynext.py', 'shapes.py', 'network.json', 'train.py']
const example = (name: string): string => page(`examples/${name}`)

const NO_TORCH =
  'There is no Python with PyTorch: install python3-torch, or name a Python that has it in PYTHON'
const python = findPython()

t.test('the Python code of the pages is that of the examples', async (t) => {
  const [train] = code(PAGE, '### Train and export', 'python')
  t.equal(train, example('train.py'))
  const named = [...page(PAGE).matchAll(/^\| `(\S+\.\w+)` \|/gm)].map(([, name]) => name)
  t.strictSame(named, EXAMPLES)
  const pieces = [...page('docs/models.md').matchAll(/^```python\n([\s\S]*?)^```/gm)].map(
    ([, piece]) => piece,
  )
  t.ok(pieces.length >= 6, 'docs/models.md has Python code')
  for (const piece of pieces) {
    t.ok(example('polynext.py').includes(piece), `examples/polynext.py has "${piece.slice(0, 40)}"`)
  }
})

t.test('the first tour of docs/getting-started.md works', async (t) => {
  const [serve, classify] = code(PAGE, '## A picture, classified', 'sh')
  t.equal(serve, 'npx polyveil serve\n')
  const directory = project(t)
  const service = await startService(join(directory, 'data'))
  t.teardown(() => service.stop())
  const image = 'src/models/zoo/digits/images/digits-5-0.png'
  t.match(classify, ` ${image} `)
  const command = classify.replace(image, zooPath('digits/images/digits-5-0.png'))
  const ran = await shell(directory, command.replace(DOCUMENTED_URL, service.url))
  t.equal(ran.code, 0, ran.stderr)
  const [shown] = code(PAGE, '## A picture, classified', 'text')
  const best = (text: string): unknown => text.match(/^class +score +logit\n +(\w+) +[\d.]+ %/m)?.[1]
  t.equal(best(ran.stdout), '5')
  t.equal(best(shown), '5')
  t.equal(ran.stdout.trim().split('\n').length, shown.trim().split('\n').length)
})

t.test(
  'the networks of the examples give the golden logits',
  {
    skip: python === undefined && NO_TORCH,
  },
  async (t) => {
    const script = new URL('./polynext_golden.py', import.meta.url).pathname
    const names = ['one_shot', 'micro_t', 'micro_s', 'micro_lr']
    const differences = JSON.parse(execFileSync(python!, [script, ...names], { encoding: 'utf8' }))
    t.strictSame(Object.keys(differences), names)
    for (const [name, { difference, largest }] of Object.entries<Record<string, number>>(differences)) {
      t.ok(difference <= 1e-4 * largest, `${name}: ${difference} of ${largest}`)
    }
  },
)

t.test(
  'the second tour of docs/getting-started.md works',
  { skip: python === undefined && NO_TORCH },
  async (t) => {
    const directory = project(t, Object.fromEntries(EXAMPLES.map((name) => [name, example(name)])))
    const trained = await run(directory, python!, 'train.py')
    t.equal(trained.code, 0, trained.stderr)
    const [, right, label] = trained.stdout.match(/^right: (\d+) of 200\nphoto\.png: (\w+)\n$/) ?? []
    t.ok(Number(right) >= 180, `${right} of 200 are right`)

    for (const heading of ['### Check', '### Compile and inspect', '### Verify']) {
      const ran = await shell(directory, code(PAGE, heading, 'sh').join('\n'))
      t.equal(ran.code, 0, `${heading}: ${ran.stderr}`)
      const printed = ran.stdout.split('\n').map((line) => shape([line]))
      const [shown] = code(PAGE, heading, 'text')
      for (const line of shown.trimEnd().split('\n'))
        t.ok(printed.includes(shape([line])), `${heading}: ${line}`)
    }
    t.match(readFileSync(join(directory, 'plan.html'), 'utf8'), '<h1>shapes</h1>')
    t.ok(existsSync(join(directory, 'models', 'shapes.pvc')))

    const [, classify] = code(PAGE, '### Serve and classify', 'sh')
    const service = await startService(join(directory, 'data'), '--models', join(directory, 'models'))
    t.teardown(() => service.stop())
    const answer = await shell(directory, classify.replace(DOCUMENTED_URL, service.url))
    t.equal(answer.code, 0, answer.stderr)
    t.match(answer.stdout, new RegExp(`^photo\\.png\\nclass +score +logit\\n${label} `))
  },
)

/** Lines without what varies between runs: numbers, and the spaces around them. */
function shape(lines: readonly string[]): string {
  return lines
    .join('\n')
    .replaceAll(/-?\d+(\.\d+)?(e-?\d+)?/g, '#')
    .replaceAll(/(# \+ )+/g, '# + ')
    .replaceAll(/ +/g, ' ')
}

/** A Python with PyTorch: the one that PYTHON names, Debian's, or the first on the path. */
function findPython(): string | undefined {
  const candidates = [process.env.PYTHON, '/usr/bin/python3', 'python3']
  return candidates.find((command) => {
    if (!command) return false
    try {
      execFileSync(command, ['-c', 'import torch'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
}
