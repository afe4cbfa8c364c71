import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { writeCircuit } from '../../../src/circuit/format/file.ts'
import { PolyVeilError } from '../../../src/errors/index.ts'
import { ModelDirectory } from '../../../src/server/models/model-directory.ts'
import { CircuitMirror } from '../../../src/server/s3/circuit-mirror.ts'
import { S3Objects } from '../../../src/server/s3/s3-objects.ts'
import { needsRedis } from '../../support/redis.ts'
import { BUCKET, S3Server } from '../../support/s3.ts'
import { circuit, StepClient } from '../refreshed-service.ts'
import { TestCluster } from './cluster.ts'

const CIRCUITS = `s3://${BUCKET}/circuits`
const FILE = `${circuit.model}.pvc`

t.test('circuits and key sets can both be in S3', needsRedis, async (t) => {
  const { server, put } = await bucket(t)
  const cluster = await TestCluster.start(t)
  await put(FILE, join(cluster.directory, FILE))
  const shared = { modelsDir: CIRCUITS, keyStorage: `s3://${BUCKET}/keys`, s3Endpoint: server.endpoint }
  const own = (name: string) => ({ ...shared, cacheDir: join(cluster.directory, name) })
  const front = await cluster.front(own('front'))
  await cluster.worker(own('worker'))
  const client = await StepClient.create(front.url)
  t.ok((await client.classify()) < 1e-3)
})

t.test('the copy of a bucket follows it', async (t) => {
  const { objects, put, options } = await bucket(t)
  const directory = t.testdir({ 'a.pvc': 'first', 'b.pvc': 'another one' })
  const copy = join(directory, 'copy')
  await put('a.pvc', join(directory, 'a.pvc'))
  await put('mine/2.pvc', join(directory, 'b.pvc'))
  for (const key of ['../outside.pvc', 'a/b/c.pvc', 'notes.txt', '.hidden.pvc'])
    await put(key, join(directory, 'a.pvc'))
  const mirror = await CircuitMirror.open(options, copy)
  const texts = () =>
    Promise.all(
      ['a.pvc', 'mine/2.pvc'].map((file) => readFile(join(copy, file), 'utf8').catch(() => undefined)),
    )
  t.strictSame(await texts(), ['first', 'another one'])
  t.strictSame(
    (await readdir(copy, { recursive: true })).sort(),
    ['a.pvc', 'mine', 'mine/2.pvc'],
    'and no other',
  )
  await put('a.pvc', join(directory, 'b.pvc'))
  await objects.remove(['mine/2.pvc'])
  await mirror.look()
  t.strictSame(await texts(), ['another one', undefined])
})

t.test('what is served stays while the bucket is away', async (t) => {
  const { server, put, options } = await bucket(t)
  const directory = t.testdir()
  const path = join(directory, FILE)
  await writeFile(path, writeCircuit(circuit))
  await put(FILE, path)
  const mirror = await CircuitMirror.open(options, join(directory, 'copy'))
  const faults: string[] = []
  const log = { info() {}, error: (_facts: object, text?: string) => faults.push(String(text)) }
  const models = await ModelDirectory.open(join(directory, 'copy'), log as never, () => mirror.look())
  await server.kill()
  await models.look()
  t.strictSame(faults, ['The models directory cannot be read'])
  t.equal(models.models.all.length, 1)
  await server.start()
  await models.look()
  t.equal(models.models.all.length, 1)
  await models.close()
})

/** A bucket in a service of its own. */
async function bucket(t: Test) {
  const folder = await mkdtemp(join(tmpdir(), 'polyveil-s3-'))
  const server = await S3Server.start(folder)
  t.teardown(async () => {
    await server.kill()
    await rm(folder, { recursive: true })
  })
  const { endpoint, region, credentials } = server
  process.env.AWS_ACCESS_KEY_ID = credentials.accessKeyId
  process.env.AWS_SECRET_ACCESS_KEY = credentials.secretAccessKey
  process.env.AWS_REGION = region
  const options = { address: CIRCUITS, endpoint }
  const missing = (): PolyVeilError => new PolyVeilError('MODEL_UNAVAILABLE', 'gone')
  const objects = await S3Objects.open(options, { name: 'circuits', missing })
  const put = async (key: string, path: string): Promise<void> => {
    const bytes = await readFile(path)
    await objects.put(key, path, bytes.length, createHash('sha256').update(bytes).digest('hex'))
  }
  return { server, objects, put, options }
}
