import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ROOT } from '../../scripts/building/paths.ts'
import { polyveil, zooPath } from '../cli/support.ts'
import { freePort } from '../support/free-port.ts'
import { canUnshare } from '../support/namespaces.ts'
import { isThorough } from '../support/thorough.ts'
import { Container } from './container.ts'
import { carryOut, type Image, STAGES } from './image.ts'

// The Dockerfile is carried out in folders. A thorough run begins with npm ci in an empty folder. Other runs
// take the build of this repository for the result of the first stage.

if (isThorough) t.setTimeout(1_200_000)

type Lock = Record<string, { dev?: boolean; optional?: boolean; dependencies?: Record<string, string> }>

/** Packages that the first stage adds to the dependencies. */
const ADDED = STAGES[0].instructions.flatMap(({ text }) =>
  [...text.matchAll(/ dependencies\.([\w-]+)=/g)].map(([, name]) => name),
)

const skip = !canUnshare() && 'this needs root on Linux, and mount namespaces'

t.test('the image of the build of this repository serves', { skip }, async (t) => {
  const folder = t.testdir()
  await serves(t, carryOut(folder, { build: builtStage(join(folder, 'build')) }), folder)
})

t.test(
  'the image serves that all steps of the Dockerfile make in an empty folder',
  { skip: (!isThorough && 'POLYVEIL_SLOW=1 runs it') || skip, timeout: 1_200_000 },
  async (t) => {
    const folder = t.testdir()
    await serves(t, carryOut(folder), folder)
  },
)

async function serves(t: Test, image: Image, folder: string): Promise<void> {
  t.strictSame(machineCode(image.root), [], 'nothing in the image is for one kind of machine')
  const port = await freePort()
  const container = new Container(image, folder, { POLYVEIL_PORT: String(port) })
  t.equal(await container.health(), 1, 'the service is not running yet')
  const service = container.start()
  t.teardown(() => service.kill('SIGKILL'))
  let log = ''
  for (const stream of [service.stdout!, service.stderr!])
    stream.on('data', (chunk) => {
      log += chunk
    })
  const ended = once(service, 'exit')
  for (let i = 0; i < 60 && service.exitCode === null && (await container.health()) !== 0; i++);
  t.equal(await container.health(), 0, log)

  const url = `http://127.0.0.1:${port}`
  t.equal((await fetch(`${url}/v2/models`)).status, 401, 'a container needs tokens')
  const made = await container.execute(
    'node',
    'dist/cli/main.js',
    'tokens',
    'create',
    'my-clinic',
    '--json',
    '--quiet',
  )
  t.equal(made.code, 0, made.stderr)
  const { token } = JSON.parse(made.stdout) as { token: string }
  // The service looks for new tokens every two seconds.
  const headers = { authorization: `Bearer ${token}` }
  while ((await fetch(`${url}/v2/models`, { headers })).status === 401)
    await new Promise((done) => setTimeout(done, 100))
  const picture = zooPath('digits/images/digits-7-0.png')
  const classified = await polyveil(
    ['classify', picture, '--url', url, '--model', 'digits', '--keys', join(folder, 'keys'), '--json'],
    { env: { POLYVEIL_TOKEN: token } },
  )
  t.equal(classified.code, 0, classified.stderr)
  t.match(classified.json.images, [{ classes: [{ label: '7' }] }])

  const loaded = await container.execute('node', '-e', "import('bullmq').then(() => import('ioredis'))")
  t.strictSame(loaded, { code: 0, stdout: '', stderr: '' }, 'it can be one process of several')
  for (const place of ['/app', '/', '/tmp'])
    t.not((await container.execute('touch', `${place}/file`)).code, 0, `${place} cannot be written`)
  t.match((await container.execute('id', '-u')).stdout, /^1000\n$/)
  service.kill('SIGTERM')
  t.strictSame(await ended, [0, null], 'the service exits with code 0')
  t.notMatch(log, /"level":[56]0/, 'the log has no faults')
}

/** What the first stage leaves, from the packages and the build of this repository. */
function builtStage(root: string): string {
  const folder = join(root, 'build')
  mkdirSync(join(folder, 'data'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), readFileSync(join(ROOT, 'package.json')))
  link(join(ROOT, 'dist'), folder)
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as { packages: Lock }
  const kept = Object.keys(packages).filter(
    (path) => path !== '' && !packages[path].dev && !packages[path].optional,
  )
  for (const path of new Set([...kept, ...ADDED.flatMap((name) => withDependencies(name, packages))]))
    copyPackage(path, folder)
  return root
}

/** Where a package is, and all that it needs. @param from the package that needs it */
function withDependencies(name: string, packages: Lock, from = ''): string[] {
  const path = [`${from}/node_modules/${name}`, `node_modules/${name}`].find((each) => each in packages)
  if (path === undefined) throw new Error(`package-lock.json has no ${name}`)
  const needed = Object.keys(packages[path].dependencies ?? {})
  return [path, ...needed.flatMap((each) => withDependencies(each, packages, path))]
}

/** Links the files of a package, without the packages inside it, which are listed themselves. */
function copyPackage(path: string, folder: string): void {
  mkdirSync(join(folder, path), { recursive: true })
  const names = readdirSync(join(ROOT, path)).filter((name) => name !== 'node_modules')
  link(...names.map((name) => join(ROOT, path, name)), join(folder, path))
}

/** Makes hard links of files and of all in folders. */
function link(...paths: string[]): void {
  const { status, stderr } = spawnSync('cp', ['-al', ...paths], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
}

/** Files that begin as programs and libraries of Linux, Windows and macOS do. */
function machineCode(root: string): string[] {
  const starts = ['7f454c46', '4d5a', 'cffaedfe', 'feedfacf', 'cafebabe']
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => starts.some((start) => beginning(file).startsWith(start)))
}

function beginning(file: string): string {
  const bytes = Buffer.alloc(4)
  const descriptor = openSync(file, 'r')
  readSync(descriptor, bytes, 0, bytes.length, 0)
  closeSync(descriptor)
  return bytes.toString('hex')
}

t.test('the image has the packages of a service on several machines', async (t) => {
  t.strictSame(ADDED, ['bullmq', 'ioredis'])
})

t.test('the image has labels, a numeric user and a base for all processors', async (t) => {
  const [, final] = STAGES
  const one = (keyword: string) => final.instructions.filter((step) => step.keyword === keyword)
  t.equal(STAGES[0].name, 'build')
  t.match(one('USER')[0].text, /^[1-9]\d*:[1-9]\d*$/)
  t.strictSame(one('RUN'), [], 'no command runs on the processor of the image')
  const { version, license } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const [{ text }] = one('LABEL')
  t.match(text, `org.opencontainers.image.version="${version}"`)
  t.match(text, `org.opencontainers.image.licenses="${license}"`)
})
