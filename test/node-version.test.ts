import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t from 'tap'
import { CLI } from '../scripts/building/paths.ts'
import { requireNode as requireNodeOfCommand } from '../src/cli/run.ts'
import { requireNode } from '../src/errors/node-version.ts'
import { requireBuild } from './support/built.ts'

// Messages on an old Node: the command line and every entry point print the same sentence before any work.

await requireBuild()
const root = fileURLToPath(new URL('../', import.meta.url))
const description = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const entries = Object.values<{ default: string }>(description.exports).map((entry) =>
  join(root, entry.default),
)
const SENTENCE = /PolyVeil runs on Node 24 or newer, and this is (9\.0\.0|2[0-3]\.\d+\.\d+)/

t.test('Node 24 and newer releases are accepted, older ones refused', async (t) => {
  for (const version of ['24.0.0', '100.1.0', undefined]) requireNode(version)
  requireNodeOfCommand('24.0.0')
  for (const version of ['20.20.2', '23.11.1', '9.0.0']) {
    const expected = {
      code: 'CONFIG_INVALID',
      message: SENTENCE,
      facts: { version },
      remedy: /Install Node 24/,
    }
    t.throws(() => requireNode(version), expected, version)
    t.throws(() => requireNodeOfCommand(version), expected, version)
  }
})

t.test('every entry point refuses an old Node when it is imported', async (t) => {
  for (const entry of entries) {
    const script = `
      Object.defineProperty(process.versions, 'node', { value: '20.20.2' })
      await import(${JSON.stringify(pathToFileURL(entry).href)}).then(
        () => console.log('imported'),
        ({ code, message }) => console.log(code, message),
      )`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    })
    t.match(stdout, /^CONFIG_INVALID PolyVeil runs on Node 24/, entry)
  }
})

/** An old Node on the search path. */
function oldNode(): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((directory) => join(directory, 'node'))
    .filter((file) => existsSync(file))
    .find(
      (file) =>
        Number.parseInt(execFileSync(file, ['-p', 'process.versions.node'], { encoding: 'utf8' }), 10) < 24,
    )
}

/** Whether CommonJS can load modules: since Node 20.19 and 22.12. */
const requiresModules = (node: string): boolean =>
  execFileSync(node, ['-p', 'process.features.require_module'], { encoding: 'utf8' }).trim() === 'true'

const old = oldNode()
t.test(
  'the command line and entry points refuse a real old Node',
  { skip: old === undefined && 'There is no Node below 24 on the PATH' },
  async (t) => {
    const command = spawnSync(old!, [CLI, 'models', '--json'], { encoding: 'utf8' })
    t.equal(command.status, 2)
    t.match(JSON.parse(command.stdout).error, { code: 'CONFIG_INVALID', message: SENTENCE })
    for (const entry of entries) {
      const script = `import(${JSON.stringify(pathToFileURL(entry).href)}).catch(({ message }) => console.log(message))`
      t.match(spawnSync(old!, ['-e', script], { encoding: 'utf8' }).stdout, SENTENCE, entry)
      if (!requiresModules(old!)) continue
      const required = spawnSync(old!, ['-e', `require(${JSON.stringify(entry)})`], { encoding: 'utf8' })
      t.match(required.stderr, SENTENCE, `${entry} by require`)
    }
  },
)

/** The npm beside a Node. */
const npmOf = (node: string): string => join(dirname(node), 'npm')
const npm = old !== undefined && existsSync(npmOf(old)) ? npmOf(old) : undefined
t.test(
  'a clone installs on an old Node without a warning',
  { skip: npm === undefined && 'There is no npm with a Node below 24 on the PATH' },
  async (t) => {
    const outside = Object.entries(process.env).filter(([name]) => !/^npm_config_loglevel$/i.test(name))
    const env = { ...Object.fromEntries(outside), PATH: [dirname(old!), process.env.PATH].join(delimiter) }
    const args = ['ci', '--dry-run', '--offline', '--ignore-scripts']
    const { status, stderr } = spawnSync(npm!, args, { cwd: root, env, encoding: 'utf8' })
    t.equal(status, 0, stderr)
    t.notMatch(stderr, 'EBADENGINE')
  },
)

t.test('users of the package do not get a Node with it', async (t) => {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  t.strictSame(
    packages[''].dependencies,
    description.dependencies,
    'the lock file belongs to this package.json',
  )
  t.strictSame(packages[''].devDependencies, description.devDependencies)
  t.notOk('node' in description.dependencies)
  t.equal(packages['node_modules/node'].dev, true, 'no dependency brings Node')
  t.ok(description.devDependencies.node, 'a clone has Node')
})
