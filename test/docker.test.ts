import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { configSchema, environmentName } from '../src/server/config.ts'
import { requireBuild } from './support/built.ts'

// Checks of the container without building it: the files that it copies, and its commands.

const root = fileURLToPath(new URL('../', import.meta.url))
const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8')

t.test('all copied files exist, and all files that the build reads are copied', async (t) => {
  const copied = [...(await read('Dockerfile')).matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
    ([, files]) => files.split(' '),
  )
  t.ok(copied.length > 5)
  for (const file of copied) await t.resolves(access(join(root, file)), file)
  const ignored = (await read('.dockerignore')).split('\n')
  for (const file of copied) t.notOk(ignored.includes(file.split('/')[0]), `${file} is not ignored`)
  const sources = await Promise.all(
    (await readdir(join(root, 'scripts'), { recursive: true }))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => read(join('scripts', name))),
  )
  const named = sources.flatMap((source) =>
    [...source.matchAll(/tsconfig[\w.]*\.json/g)].map(([name]) => name),
  )
  for (const name of named) t.ok(copied.includes(name), `${name} is copied`)
})

t.test('the image has a Node that the package supports', async (t) => {
  const { engines } = JSON.parse(await read('package.json'))
  const versions = [...(await read('Dockerfile')).matchAll(/^FROM node:(\d+)/gm)].map(
    ([, version]) => version,
  )
  t.strictSame(versions, ['24', '24'])
  t.equal(engines.node, `>=${versions[0]}`)
})

t.test('settings in container files are settings of the service', async (t) => {
  const names = [...Object.keys(configSchema.shape).map(environmentName), 'POLYVEIL_TOKEN']
  for (const file of ['Dockerfile', 'docker/compose.yaml', 'docker/healthcheck.js', 'docs/deployment.md']) {
    for (const [name] of (await read(file)).matchAll(/POLYVEIL_\w+/g))
      t.ok(names.includes(name), `${file}: ${name}`)
  }
})

t.test(
  'the entry point serves the bundled networks until SIGTERM, and the health check reports it',
  async (t) => {
    await requireBuild()
    const port = await freePort()
    const env = {
      ...process.env,
      POLYVEIL_PORT: String(port),
      POLYVEIL_DATA_DIR: t.testdir(),
      POLYVEIL_HOST: '127.0.0.1',
    }
    const health = async (): Promise<number> => {
      const [code] = await once(
        spawn(process.execPath, [join(root, 'docker/healthcheck.js')], { env }),
        'exit',
      )
      return code
    }
    t.equal(await health(), 1, 'the service is not running yet')
    const service = spawn('sh', [join(root, 'docker/entrypoint.sh')], {
      env,
      cwd: t.testdirName,
      stdio: 'ignore',
    })
    const ended = once(service, 'exit')
    t.teardown(() => service.kill('SIGKILL'))
    for (let i = 0; i < 60 && (await health()) !== 0; i++)
      t.equal(service.exitCode, null, 'the service is starting')
    t.equal(await health(), 0)
    const { models } = (await (await fetch(`http://127.0.0.1:${port}/v2/models`)).json()) as {
      models: { name: string }[]
    }
    t.strictSame(models.map(({ name }) => name).sort(), ['clothing', 'digits'])
    service.kill('SIGTERM')
    const [code, signal] = await ended
    t.strictSame([code, signal], [0, null], 'the service exits with code 0')
  },
)

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
