import { join } from 'node:path'
import t from 'tap'
import { CIRCUITS } from '../../scripts/building/paths.ts'
import { configSchema, environmentName, readConfig, unknownVariables } from '../../src/server/config.ts'
import { startServer } from '../../src/server/start.ts'

t.test('by default the server listens only on this machine', async (t) => {
  const config = await readConfig({ overrides: { modelsDir: 'models' } })
  t.match(config, { host: '127.0.0.1', port: 8080, modelsDir: 'models', logLevel: 'info' })
  t.ok(config.workers >= 1)
  t.ok(Object.isFrozen(config))
})

t.test('overrides take precedence over the environment, and the environment over the file', async (t) => {
  const file = join(
    t.testdir({ 'server.json': '{"port":1001,"queue":11,"modelsDir":"f","logLevel":"warn"}' }),
    'server.json',
  )
  const env = { POLYVEIL_PORT: '1002', POLYVEIL_QUEUE: '12', POLYVEIL_KEY_TTL_HOURS: '0.5', PORT: '9' }
  const config = await readConfig({ overrides: { port: 1003, host: undefined }, env, file })
  t.match(config, {
    port: 1003,
    queue: 12,
    keyTtlHours: 0.5,
    modelsDir: 'f',
    logLevel: 'warn',
    host: '127.0.0.1',
  })
})

t.test('an error names the wrong setting', async (t) => {
  const wrong: [object, string][] = [
    [{ port: '80a' }, 'port'],
    [{ port: 65_536 }, 'port'],
    [{ port: '' }, 'port'],
    [{ port: ' ' }, 'port'],
    [{ port: null }, 'port'],
    [{ port: [] }, 'port'],
    [{ port: '0x50' }, 'port'],
    [{ workers: true }, 'workers'],
    [{ keyTtlHours: '' }, 'keyTtlHours'],
    [{ workers: 0 }, 'workers'],
    [{ workers: 1.5 }, 'workers'],
    [{ logLevel: 'loud' }, 'logLevel'],
    [{ keyTtlHours: 0 }, 'keyTtlHours'],
    [{ allowedOrigins: 7 }, 'allowedOrigins'],
    [{ allowedOrigins: ['https://a.example', 'b.example'] }, 'allowedOrigins.1'],
    [{ allowedOrigins: '*' }, 'allowedOrigins.0'],
    [{ allowedOrigins: 'https://a.example/' }, 'allowedOrigins.0'],
    [{ allowedOrigins: 'https://A.example' }, 'allowedOrigins.0'],
    [{ allowedOrigins: 'https://a.example:443' }, 'allowedOrigins.0'],
    [{ allowedOrigins: 'null' }, 'allowedOrigins.0'],
    [{ allowedOrigins: 'file:///page' }, 'allowedOrigins.0'],
    [{ trustProxy: 'nginx' }, 'trustProxy'],
    [{ trustProxy: '10.0.0.0/40' }, 'trustProxy'],
    [{ trustProxy: ['127.0.0.1', 'x'] }, 'trustProxy'],
    [{ trustProxy: -1 }, 'trustProxy'],
    [{ s3Endpoint: 'minio:9000' }, 's3Endpoint'],
    [{ s3Endpoint: 'https://user:secret@minio.example' }, 's3Endpoint'],
    [{ s3Endpoint: 'https://minio.example/?key=secret' }, 's3Endpoint'],
  ]
  for (const [overrides, setting] of wrong) {
    const reading = readConfig({ overrides: { modelsDir: 'm', ...overrides } })
    await t.rejects(reading, { code: 'CONFIG_INVALID', facts: { setting } }, setting)
    await reading.catch((error) => t.notMatch(JSON.stringify(error), 'secret'))
  }
  const env = { POLYVEIL_MODELS_DIR: 'm', POLYVEIL_MANAGEMENT_PORT: '' }
  await t.rejects(readConfig({ env }), { code: 'CONFIG_INVALID', facts: { setting: 'managementPort' } })
  await t.rejects(readConfig({}), { code: 'CONFIG_INVALID', facts: { setting: 'modelsDir' } })
  const directory = t.testdir({ unknown: '{"modelsDir":"m","pört":1}', torn: '{"port":', list: '[1]' })
  for (const file of ['unknown', 'torn', 'list', 'absent']) {
    await t.rejects(readConfig({ file: join(directory, file) }), { code: 'CONFIG_INVALID' }, file)
  }
})

t.test('allowed origins are a list, separated by commas in the environment', async (t) => {
  const origins = async (env: Record<string, string>, overrides: object = {}) =>
    (await readConfig({ overrides: { modelsDir: 'm', ...overrides }, env })).allowedOrigins
  const [first, second] = ['https://a.example', 'http://localhost:5173']
  t.strictSame(await origins({}), [])
  t.strictSame(await origins({ POLYVEIL_ALLOWED_ORIGINS: '' }), [])
  t.strictSame(await origins({ POLYVEIL_ALLOWED_ORIGINS: `${first}, ${second}` }), [first, second])
  t.strictSame(await origins({}, { allowedOrigins: [second] }), [second])
})

t.test('every setting has a description and an environment variable', async (t) => {
  t.equal(environmentName('maxEventLoopDelayMs'), 'POLYVEIL_MAX_EVENT_LOOP_DELAY_MS')
  for (const [name, schema] of Object.entries(configSchema.shape)) t.ok(schema.description, name)
})

t.test('trusted proxies are given as nothing, all, a number or a list', async (t) => {
  const trusted = async (trustProxy: never, env: Record<string, string> = {}) =>
    (await readConfig({ overrides: { modelsDir: 'm', trustProxy }, env })).trustProxy
  t.equal(await trusted(undefined as never), false, 'none by default')
  for (const value of [true, 2, ['127.0.0.1', '10.0.0.0/8', '::1', 'loopback']]) {
    t.strictSame(await trusted(value as never), value)
  }
  for (const [text, value] of [
    ['true', true],
    ['false', false],
    ['1', 1],
    ['10.1.2.3', ['10.1.2.3']],
    ['loopback, fd00::/8', ['loopback', 'fd00::/8']],
  ] as const) {
    t.strictSame(await trusted(undefined as never, { POLYVEIL_TRUST_PROXY: text }), value, text)
  }
})

t.test('variables that are no settings are found', async (t) => {
  const env = {
    POLYVEIL_PORT: '1',
    POLYVEIL_PROT: '1',
    POLYVEIL_KEYTTLHOURS: '1',
    POLYVEIL_TOKEN: 'x',
    PATH: '/bin',
    polyveil_port: '1',
  }
  t.strictSame(unknownVariables(env), ['POLYVEIL_KEYTTLHOURS', 'POLYVEIL_PROT'])
})

t.test('a store that cannot hold the largest key set is refused at the start', async (t) => {
  const config = await readConfig({
    overrides: {
      modelsDir: CIRCUITS,
      dataDir: t.testdir(),
      logLevel: 'silent',
      maxStoredMegabytes: 100,
    },
  })
  await t.rejects(startServer(config), {
    code: 'CONFIG_INVALID',
    message: /100 MB.*512 MB/,
    facts: { setting: 'maxKeySetMegabytes' },
  })
})
