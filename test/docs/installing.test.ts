import t from 'tap'
import { oldNode } from '../../src/errors/node-version.ts'
import { page } from './support.ts'

// What docs/library.md says of installing, as far as it follows from package.json and the lock file.

const [, section] = page('docs/library.md').split(/^## (?:Installing|polyveil)$/m)
const description = JSON.parse(page('package.json'))
const { packages } = JSON.parse(page('package-lock.json')) as {
  packages: Record<string, { dev?: true; devOptional?: true; peer?: true; optional?: true }>
}

t.test('the sentence of an old Node is the program’s', async (t) => {
  const [, version] = /and this is ([\d.]+)`/.exec(section)!
  t.match(section, `\`${oldNode(version)!.message}\``)
  t.match(
    section,
    `Node ${Number.parseInt(description.engines.node.replace('>=', ''), 10)} or newer is needed`,
  )
})

t.test('each optional package is named', async (t) => {
  const peers = Object.keys(description.peerDependencies)
  t.strictSame(Object.keys(description.peerDependenciesMeta).sort(), [...peers].sort(), 'all are optional')
  for (const name of peers) t.match(section, `\`${name}\``)
  const [, major] = /`ioredis@(\d+)`/.exec(section)!
  t.match(description.peerDependencies.ioredis, new RegExp(`^\\^${major}\\.`))
})

t.test('the number of packages is that of the lock file', async (t) => {
  const [, stated] = /^- (\d+) packages are installed/m.exec(section)!
  const own = ''
  const installed = Object.entries(packages).filter(
    ([path, { dev, devOptional, peer, optional }]) =>
      path !== own && !(dev || devOptional || peer || optional),
  )
  // polyveil itself, and the build of an optional package for the machine, are not among them.
  t.ok(Math.abs(Number(stated) - installed.length) <= 5, `${installed.length} in the lock file`)
})

t.test('an installation runs no script of the package', async (t) => {
  const run = ['preinstall', 'install', 'postinstall'].filter((name) => name in description.scripts)
  t.strictSame(run, [])
})
