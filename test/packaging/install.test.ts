import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ROOT } from '../../scripts/building/paths.ts'
import { bundledNetworks } from '../../src/models/index.ts'
import { startProgram } from '../cli/service.ts'
import { code, DOCUMENTED_URL, page, run } from '../docs/support.ts'
import { requireBuild } from '../support/built.ts'
import { isThorough } from '../support/thorough.ts'

// The package, installed by npm into an empty project from the registry. The project lies outside of the
// repository, whose packages it would find otherwise.

await requireBuild()
const [digits] = bundledNetworks()
const { file, truth } = digits.images[5]

t.test(
  'the packed package installs into an empty project, and classifies there',
  { skip: !isThorough && 'POLYVEIL_SLOW=1 runs it', timeout: 300_000 },
  async (t) => {
    const project = mkdtempSync(join(tmpdir(), 'polyveil-install-'))
    t.teardown(() => rmSync(project, { recursive: true, force: true }))
    writeFileSync(join(project, 'package.json'), '{"private":true,"type":"module"}')
    const packed = await run(ROOT, 'npm', 'pack', '--ignore-scripts', '--pack-destination', project)
    t.equal(packed.code, 0, packed.stderr)
    const tarball = `./${packed.stdout.trim().split('\n').at(-1)}`
    const { sharp } = JSON.parse(page('package.json')).peerDependencies
    const installed = await run(
      project,
      'npm',
      'install',
      '--no-audit',
      '--no-fund',
      tarball,
      `sharp@${sharp}`,
    )
    t.equal(installed.code, 0, installed.stderr)
    t.notMatch(installed.stderr, /EBADENGINE|ERESOLVE|deprecated/)

    const help = await run(project, 'npx', 'polyveil', '--help')
    t.match(help, { code: 0, stdout: /^Usage: polyveil/, stderr: '' })
    const models = await run(project, 'npx', 'polyveil', 'models')
    t.match(models, { code: 0, stdout: /^digits\b/m, stderr: '' })

    const cli = join(project, 'node_modules/polyveil/dist/cli/main.js')
    const service = await startProgram([cli, 'serve', '--port', '0', '--json'], join(project, 'data'))
    t.teardown(() => service.stop())
    const picture = fileURLToPath(file)
    const args = [picture, '--url', service.url, '--model', 'digits', '--json']
    const command = await run(project, 'npx', 'polyveil', 'classify', ...args)
    t.match(command, { code: 0, stdout: `"label":"${truth}"` })

    const [, snippet] = code('docs/library.md', '## polyveil/client', 'ts')
    const program = snippet.replace(DOCUMENTED_URL, service.url).replaceAll('photo.png', picture)
    writeFileSync(join(project, 'program.js'), program)
    writeFileSync(join(project, 'broken.png'), 'no picture')
    const ran = await run(project, process.execPath, 'program.js')
    t.match(ran, { code: 0, stdout: new RegExp(`^${truth}\nIMAGE_UNREADABLE `) }, ran.stderr)
  },
)
