import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { CLI, ROOT } from '../../scripts/building/paths.ts'
import { ERROR_CODES } from '../../src/errors/index.ts'
import { configSchema, environmentName, readConfig } from '../../src/server/config.ts'
import { neededMegabytes } from '../../src/server/memory-need.ts'
import { startProgram } from '../cli/service.ts'
import { polyveil, zooPath } from '../cli/support.ts'
import { manifest } from '../docker/kubernetes.ts'
import { needsRedis, RedisServer } from '../support/redis.ts'
import { code, DOCUMENTED_URL, page, project, shell } from './support.ts'

const text = page('docs/several-machines.md')
const inCode = [...text.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code)
/** Commands that are indented, and not run as they are. */
const indented = [...text.matchAll(/^ {4,}((?:docker|kubectl|npm|polyveil|redis-server) .+)$/gm)].map(
  ([, line]) => line,
)

t.test(
  'the commands of one machine classify an image, and SIGTERM ends both processes',
  needsRedis,
  async (t) => {
    const redis = await RedisServer.start()
    t.teardown(() => redis.close())
    const directory = project(t, { 'digit.png': readFileSync(zooPath('digits/images/digits-7-0.png')) })
    const data = join(directory, 'shared')
    const [workerLine, serveLine, classifyLine] = code(
      'docs/several-machines.md',
      '## Try it on one machine',
      'sh',
    ).map((block) => block.trim().replace('redis://127.0.0.1:6379', redis.url))
    t.equal(workerLine, `npx polyveil worker --redis ${redis.url} --data shared`)
    t.equal(serveLine, `npx polyveil serve --redis ${redis.url} --data shared`)
    // startProgram gives the data directory, of which the folder `shared` of the commands is the path.
    const started = (line: string, ...further: string[]) => {
      const [role, ...args] = line
        .split('npx polyveil ')[1]
        .replace(/--data shared/, `--data ${data}`)
        .split(' ')
      return startProgram([CLI, role, '--json', ...args, ...further], data)
    }
    const worker = await started(workerLine)
    t.teardown(() => worker.kill())
    const service = await started(serveLine, '--port', '0')
    t.teardown(() => service.kill())

    const answer = await shell(directory, classifyLine.replace(DOCUMENTED_URL, service.url))
    t.equal(answer.code, 0, answer.stderr)
    t.match(answer.stdout, /^digit\.png\nclass +score +logit\n +7 /)
    t.ok(existsSync(join(data, 'flooding.key')))
    t.notOk(existsSync(join(data, 'state.db')), 'records are in Redis')

    t.equal(await worker.stop(), 0, 'the worker process')
    t.equal(await service.stop(), 0, 'the HTTP process')
  },
)

t.test('the packages to install are the optional ones of the package', async (t) => {
  const { peerDependenciesMeta } = JSON.parse(page('package.json'))
  const [install] = indented.filter((line) => line.startsWith('npm install '))
  const [name, ...optional] = install.replace('npm install ', '').split(' ')
  t.equal(name, 'polyveil')
  t.strictSame(optional, ['bullmq', 'ioredis'])
  for (const each of optional) t.strictSame(peerDependenciesMeta[each], { optional: true }, each)
})

t.test('the file of settings and the address of Redis are settings of the service', async (t) => {
  const [json] = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(([, block]) => JSON.parse(block))
  const [, redis] = /^ +POLYVEIL_REDIS=(\S+)$/m.exec(text)!
  t.match(await readConfig({ overrides: json, env: { POLYVEIL_REDIS: redis } }), { ...json, redis })
})

t.test('commands for tokens work, and name files that there are', async (t) => {
  const tokens = indented.flatMap(
    (line) => /(?:^polyveil|node dist\/cli\/main\.js) (tokens .+)$/.exec(line)?.[1] ?? [],
  )
  t.equal(tokens.length, 5)
  for (const line of tokens) {
    const args = line.replace(/ --data \S+/, '').split(' ')
    const ran = await polyveil([...args, '--json', '--data', t.testdir({})])
    t.equal(ran.code, 0, ran.stderr)
  }
  const files = indented.flatMap((line) => [...line.matchAll(/-[fk] (\S+)/g)].map(([, path]) => path))
  t.ok(files.length >= 3)
  for (const path of files) t.ok(existsSync(join(ROOT, path)), path)
})

t.test('commands name what the manifests and the Compose file define', async (t) => {
  const deployments = indented.flatMap((line) => / deploy\/(polyveil-\w+) /.exec(line)?.[1] ?? [])
  t.ok(deployments.length >= 2)
  const { metadata } = manifest<{ metadata: { name: string } }>('cluster/http.yaml')
  for (const name of deployments) t.equal(name, metadata.name)
  const { services } = parse(page('docker/compose-cluster.yaml'), { merge: true })
  const executed = indented.flatMap((line) => /^docker compose .* exec (\S+)/.exec(line)?.[1] ?? [])
  t.equal(executed.length, 1)
  for (const name of executed) t.ok(name in services, name)
  const [, secret, key] = /create secret generic (\S+) .*--from-literal=(\w+)=/.exec(text)!
  const worker = page('deploy/kubernetes/cluster/worker.yaml')
  t.match(worker, new RegExp(`name: ${secret}\\n +key: ${key}\\n`))
})

t.test('the page names settings, variables, flags and codes that exist', async (t) => {
  const settings = inCode.filter((each) => /^[a-z]+([A-Z][a-z]+)+$/.test(each) && each !== 'newName')
  t.ok(settings.length > 15, settings.join())
  for (const name of settings) t.ok(name in configSchema.shape, name)
  const variables = Object.keys(configSchema.shape).map(environmentName)
  for (const [name] of text.matchAll(/POLYVEIL_\w+/g)) t.ok(variables.includes(name), name)
  const codes = inCode.filter((each) => /^[A-Z]+_[A-Z_]+$/.test(each) && !/^(POLYVEIL|NODE|AWS)_/.test(each))
  t.ok(codes.length > 3, codes.join())
  for (const each of codes) t.ok(each in ERROR_CODES, each)
})

t.test('numbers of the page are those of the code', async (t) => {
  const gigabytes = (neededMegabytes({ workers: 1, engineMegabytes: 4000 }) / 1000).toFixed(1)
  t.match(text.replace(/\s+/g, ' '), `with default settings up to ${gigabytes} GB`)
})
