import { join } from 'node:path'
import t from 'tap'
import { configSchema, environmentName, readConfig } from '../../src/server/config.ts'

t.test('defaults listen on this machine alone', async (t) => {
  const config = await readConfig({ overrides: { modelsDir: 'models' } })
  t.match(config, { host: '127.0.0.1', port: 8080, modelsDir: 'models', logLevel: 'info' })
  t.ok(config.workers >= 1)
  t.ok(Object.isFrozen(config))
})

t.test('overrides win over the environment, that over the file', async (t) => {
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

t.test('each wrong setting is named', async (t) => {
  const wrong: [object, string][] = [
    [{ port: '80a' }, 'port'],
    [{ port: 65_536 }, 'port'],
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
  ]
  for (const [overrides, setting] of wrong) {
    const reading = readConfig({ overrides: { modelsDir: 'm', ...overrides } })
    await t.rejects(reading, { code: 'CONFIG_INVALID', facts: { setting } }, setting)
  }
  await t.rejects(readConfig({}), { code: 'CONFIG_INVALID', facts: { setting: 'modelsDir' } })
  const directory = t.testdir({ unknown: '{"modelsDir":"m","pört":1}', torn: '{"port":', list: '[1]' })
  for (const file of ['unknown', 'torn', 'list', 'absent']) {
    await t.rejects(readConfig({ file: join(directory, file) }), { code: 'CONFIG_INVALID' }, file)
  }
})

t.test('origins are a list, in the environment one with commas', async (t) => {
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
