import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { CIRCUITS } from '../../scripts/building/paths.ts'
import { configSchema, environmentName } from '../../src/server/config.ts'
import { polyveil } from '../cli/support.ts'
import { requireBuild } from '../support/built.ts'
import { freePort } from '../support/free-port.ts'
import { needsRedis, RedisServer } from '../support/redis.ts'
import { isSent } from './dockerfile.ts'

// Checks of the container without building it: the files that it copies, and its commands.

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8')

t.test('all copied files exist, and all files that the build reads are copied', async (t) => {
  const copied = [...(await read('Dockerfile')).matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
    ([, files]) => files.split(' '),
  )
  t.ok(copied.length > 5)
  for (const file of copied) await t.resolves(access(join(root, file)), file)
  const ignored = await read('.dockerignore')
  for (const file of copied) t.ok(isSent(file, ignored), `${file} is not ignored`)
  const rest = [
    '.git',
    'node_modules',
    'dist',
    'test',
    'docs',
    'models',
    'polyveil-data',
    'docker/nginx.conf',
  ]
  for (const file of [...rest, '.env', 'src/he-ops/kernels/build/kernels.wasm'])
    t.notOk(isSent(file, ignored), `${file} is ignored`)
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
  const versions = [...(await read('Dockerfile')).matchAll(/^FROM (?:--platform=\S+ )?node:(\d+)/gm)].map(
    ([, version]) => version,
  )
  t.strictSame(versions, ['24', '24'])
  t.equal(engines.node, `>=${versions[0]}`)
})

t.test('settings in container files are settings of the service', async (t) => {
  const names = [...Object.keys(configSchema.shape).map(environmentName), 'POLYVEIL_TOKEN']
  for (const file of [
    'Dockerfile',
    'docker/compose.yaml',
    'docker/compose-cluster.yaml',
    'docker/nginx.conf',
    'docker/healthcheck.js',
    'docs/deployment.md',
    'docs/several-machines.md',
  ]) {
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
    const health = (): Promise<number> => healthOf(env)
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

t.test(
  'the entry point runs a worker process, and the health check asks its management port',
  needsRedis,
  async (t) => {
    await requireBuild()
    const redis = await RedisServer.start()
    t.teardown(() => redis.close())
    const env = {
      ...process.env,
      POLYVEIL_REDIS: redis.url,
      POLYVEIL_DATA_DIR: t.testdir(),
      POLYVEIL_MANAGEMENT_HOST: '0.0.0.0',
      POLYVEIL_MANAGEMENT_ACCESS: 'tokens',
      POLYVEIL_MANAGEMENT_PORT: String(await freePort()),
    }
    const data = ['--data', env.POLYVEIL_DATA_DIR]
    t.equal((await polyveil(['tokens', 'create', 'operator', '--scope', 'admin', ...data])).code, 0)
    t.equal(await healthOf(env, 'worker'), 1, 'the process is not running yet')
    const worker = spawn('sh', [join(root, 'docker/entrypoint.sh'), 'worker', '--models', CIRCUITS], {
      env,
      cwd: t.testdirName,
      stdio: 'ignore',
    })
    const ended = once(worker, 'exit')
    t.teardown(() => worker.kill('SIGKILL'))
    for (let i = 0; i < 60 && (await healthOf(env, 'worker')) !== 0; i++)
      t.equal(worker.exitCode, null, 'the process is starting')
    t.equal(await healthOf(env, 'worker'), 0, 'without a token')
    worker.kill('SIGTERM')
    t.strictSame(await ended, [0, null], 'the process exits with code 0')
  },
)

t.test('compose has the service behind a proxy, and nothing else reaches it', async (t) => {
  const { services } = parse(await read('docker/compose.yaml'))
  const { polyveil, proxy } = services
  t.notOk(polyveil.ports, 'the port of the service is not published')
  t.match(polyveil.environment, { POLYVEIL_ACCESS: 'tokens', POLYVEIL_TRUST_PROXY: '1' })
  const nginx = await read('docker/nginx.conf')
  const [, target] = /^\s*server (\S+:\d+);/m.exec(nginx)!
  t.equal(target, `polyveil:${polyveil.expose[0]}`)
  const [, port] = /^\s*listen (\d+) ssl/m.exec(nginx)!
  t.strictSame(proxy.ports, [`443:${port}`])
  const seconds = (text: string): number => Number(/^(\d+)s$/.exec(text)![1])
  const least = Number(polyveil.environment.POLYVEIL_SHUTDOWN_SECONDS) + 20
  for (const service of [polyveil, proxy]) {
    t.ok(seconds(service.stop_grace_period) >= least)
    t.match(service, { read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
  }
  const { threads } = configSchema.shape
  t.ok(
    threads.safeParse(256).success && polyveil.pids_limit > 2 * 256,
    'as many threads as a worker may have',
  )
})

t.test(
  'compose of several processes has a Redis that keeps its records, and nothing else reaches it',
  async (t) => {
    const { services, networks, volumes } = parse(await read('docker/compose-cluster.yaml'), { merge: true })
    const { polyveil, worker, redis, proxy } = services
    const one = parse(await read('docker/compose.yaml')).services
    t.strictSame(Object.keys(services).sort(), ['polyveil', 'proxy', 'redis', 'worker'])
    for (const service of [polyveil, worker]) {
      t.ok(service.deploy.replicas >= 2)
      t.strictSame(service.build, one.polyveil.build)
      t.equal(service.environment.POLYVEIL_REDIS, worker.environment.POLYVEIL_REDIS)
      t.match(service.environment.POLYVEIL_REDIS, /^redis:\/\/:\$\{REDIS_PASSWORD:\?[^}]+\}@redis:6379$/)
      t.match(service.environment, { POLYVEIL_ACCESS: 'tokens', POLYVEIL_MODELS_DIR: '/models' })
      t.strictSame(service.volumes, ['../models:/models:ro', 'shared:/data'])
      t.strictSame(service.depends_on, { redis: { condition: 'service_healthy' } })
      t.ok(
        Number(/^(\d+)s$/.exec(service.stop_grace_period)![1]) >=
          Number(service.environment.POLYVEIL_SHUTDOWN_SECONDS) + 20,
      )
    }
    t.strictSame(worker.command, ['worker'])
    t.strictSame(worker.healthcheck.test, ['CMD', 'node', 'docker/healthcheck.js', 'worker'])
    t.equal(worker.mem_limit, one.polyveil.mem_limit)
    const options = redis.command.join(' ')
    for (const option of [
      '--appendonly yes',
      '--maxmemory-policy noeviction',
      '--requirepass ${REDIS_PASSWORD',
    ])
      t.ok(options.includes(option), option)
    for (const service of Object.values(services) as Record<string, unknown>[]) {
      t.match(service, { read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
      t.equal(service.ports, service === proxy ? proxy.ports : undefined, 'the proxy alone has a port')
    }
    t.strictSame(polyveil.networks, ['proxied', 'inner'])
    t.strictSame(worker.networks, ['inner'])
    t.strictSame(redis.networks, ['inner'])
    t.strictSame(networks.inner, { internal: true })
    t.strictSame(Object.keys(volumes), ['shared', 'redis'])
    const { networks: proxied, ...rest } = proxy
    t.strictSame(proxied, ['proxied'])
    t.strictSame(rest, one.proxy, 'the proxy is that of one process')
    t.match(polyveil.environment, { POLYVEIL_TRUST_PROXY: '1' })
    t.strictSame(polyveil.expose, one.polyveil.expose, 'where nginx looks for it')
    t.match(await read('.gitignore'), /^\/docker\/\.env$/m, 'the password is not committed')
  },
)

t.test('the health check asks the host and the port that the service is given', async (t) => {
  for (const [host, address] of [
    ['0.0.0.0', '127.0.0.1'],
    ['127.0.0.2', '127.0.0.2'],
    ['localhost', 'localhost'],
    ['::', '::1'],
    ['::1', '::1'],
  ]) {
    let status = 200
    const asked: (string | undefined)[] = []
    const server = createServer(({ url }, response) => {
      asked.push(url)
      response.writeHead(status).end()
    })
    const listening = await new Promise<boolean>((resolve) =>
      server.on('error', () => resolve(false)).listen(0, address, () => resolve(true)),
    )
    if (!listening) {
      t.comment(`this machine has no ${address}`)
      continue
    }
    t.teardown(() => server.close())
    const { port } = server.address() as AddressInfo
    const env = { ...process.env, POLYVEIL_HOST: host, POLYVEIL_PORT: String(port) }
    t.equal(await healthOf(env), 0, host)
    status = 503
    t.equal(await healthOf(env), 1, `${host} does not answer as it should`)
    t.strictSame(asked, ['/v2/health/live', '/v2/health/live'])
  }
})

/** The exit code of the health check. */
async function healthOf(env: NodeJS.ProcessEnv, ...args: string[]): Promise<number> {
  const check = spawn(process.execPath, [join(root, 'docker/healthcheck.js'), ...args], { env })
  const [code] = await once(check, 'exit')
  return code
}
