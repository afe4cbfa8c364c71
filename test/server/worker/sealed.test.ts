import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { writeCircuit } from '../../../src/circuit/format/file.ts'
import { readConfig } from '../../../src/server/config.ts'
import { type RunningServer, startServer } from '../../../src/server/start.ts'
import { SealedClient } from '../sealed-client.ts'
import { circuit, elements, model } from '../support.ts'

// A complete service: a port, key sets on disk, and workers that execute the small circuit on node-seal.

const { parameters, manifest } = model

const client = await SealedClient.create()
t.teardown(() => client.delete())
const keySet = (): Promise<Uint8Array> => client.keySet()
const encryptedQuery = (): Uint8Array => client.query()
const errorOf = (frame: Uint8Array): number => client.errorOf(frame)

async function started(t: Test): Promise<RunningServer> {
  const directory = t.testdir()
  await writeFile(join(directory, 'small.pvc'), writeCircuit(circuit))
  const config = await readConfig({
    overrides: {
      modelsDir: directory,
      dataDir: join(directory, 'data'),
      port: 0,
      workers: 1,
      maxEventLoopDelayMs: 0,
      logLevel: 'silent',
    },
  })
  const server = await startServer(config)
  t.teardown(() => server.close())
  return server
}

async function upload(url: string, bytes: Uint8Array): Promise<Response> {
  const announcement = { parametersDigest: parameters.digest, bytes: bytes.length, galoisElements: elements }
  const created = await fetch(`${url}/v2/keys`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(announcement),
  })
  const { id } = (await created.json()) as { id: string }
  let answer = created
  for (let offset = 0; offset < bytes.length; offset += 1_500_000) {
    answer = await fetch(`${url}/v2/keys/${id}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/octet-stream', 'upload-offset': String(offset) },
      body: new Uint8Array(bytes.subarray(offset, offset + 1_500_000)),
    })
  }
  return answer
}

async function infer(url: string, id: string, frame: Uint8Array, inference?: string): Promise<Response> {
  const json = Buffer.from(
    JSON.stringify({
      id: inference,
      parameters: { key_set: id, manifest_digest: manifest.digest },
      inputs: [
        { name: 'image', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: frame.length } },
      ],
    }),
  )
  return fetch(`${url}/v2/models/small/infer`, {
    method: 'POST',
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(json.length),
    },
    body: Buffer.concat([json, frame]),
  })
}

async function frameOf(answer: Response): Promise<Uint8Array> {
  const length = Number(answer.headers.get('inference-header-content-length'))
  return new Uint8Array(await answer.arrayBuffer()).subarray(length)
}

t.test(
  'the service takes keys and an image, refuses bad bytes, and returns an encrypted answer',
  async (t) => {
    const { url } = await started(t)
    const bytes = await keySet()
    const uploaded = (await (await upload(url, bytes)).json()) as {
      id: string
      complete: boolean
      digest: string
    }
    t.equal(uploaded.complete, true)
    t.equal(uploaded.digest, Buffer.from(bytes.subarray(-32)).toString('hex'))

    const query = encryptedQuery()
    const first = await infer(url, uploaded.id, query)
    t.equal(first.status, 200)
    const answer = await frameOf(first)
    t.equal(answer.length, model.responseBytes)
    // The standard deviation of flooding is 0.001.
    const error = errorOf(answer)
    t.ok(error < 0.01, `error ${error}`)
    const again = await frameOf(await infer(url, uploaded.id, query))
    t.ok(errorOf(again) < 0.01)
    t.notOk(Buffer.from(again).equals(answer), 'every answer is re-randomised')

    const damaged = Uint8Array.from(query)
    damaged[5000] ^= 1
    for (const bad of [damaged, new Uint8Array(query.length)]) {
      const refused = await infer(url, uploaded.id, bad)
      t.equal(refused.status, 400)
      t.match(await refused.json(), { code: 'TENSOR_MALFORMED' })
    }
    const badKeys = Uint8Array.from(bytes)
    badKeys[bytes.length >> 1] ^= 4
    const refused = await upload(url, badKeys)
    t.equal(refused.status, 400)
    t.match(await refused.json(), { code: 'TENSOR_MALFORMED' })
    t.ok(errorOf(await frameOf(await infer(url, uploaded.id, query))) < 0.01, 'the server still serves')
  },
)

t.test('events report the progress of an inference until its end', async (t) => {
  const { url } = await started(t)
  const { id } = (await (await upload(url, await keySet())).json()) as { id: string }
  const running = infer(url, id, encryptedQuery(), 'watched')
  let events = await fetch(`${url}/v2/inferences/watched/events`, { headers: { 'polyveil-key-set': id } })
  while (events.status === 404) {
    await sleep(2)
    events = await fetch(`${url}/v2/inferences/watched/events`, { headers: { 'polyveil-key-set': id } })
  }
  const last = (await events.text()).trim().split('\n\n').at(-1) ?? ''
  t.match(last, /^event: end\n/)
  t.match(JSON.parse(last.split('data: ')[1]), {
    state: 'done',
    done: circuit.ops.length,
    total: circuit.ops.length,
  })
  t.equal((await running).status, 200)
})

t.test('a circuit file that changed after the start is not executed', async (t) => {
  const server = await started(t)
  const { id } = (await (await upload(server.url, await keySet())).json()) as { id: string }
  const other = { ...circuit, labels: ['a', 'b', 'c'] }
  await writeFile(join(t.testdirName, 'small.pvc'), writeCircuit(other))
  const answer = await infer(server.url, id, encryptedQuery())
  t.match(await answer.json(), { status: 503, code: 'MODEL_UNAVAILABLE' })
  t.equal(answer.headers.get('retry-after'), '5')
})

t.test('a server without circuits, or with damaged ones alone, does not start', async (t) => {
  const start = async (directory: string) =>
    startServer(
      await readConfig({
        overrides: { modelsDir: directory, dataDir: directory, port: 0, logLevel: 'silent' },
      }),
    )
  await t.rejects(start(t.testdir({})), { code: 'CONFIG_INVALID' })
  await t.rejects(start(join(t.testdirName, 'absent')), { code: 'CONFIG_INVALID' })
  const file = Buffer.from(writeCircuit(circuit))
  file[file.length >> 1] ^= 1
  await t.rejects(start(t.testdir({ 'small.pvc': file })), { code: 'CONFIG_INVALID' })
  await t.rejects(
    start(t.testdir({ 'a.pvc': file, 'b.pvc': file.subarray(0, 100), two: { '2.pvc': 'x' } })),
    {
      code: 'CONFIG_INVALID',
      message: /The circuit \S+a\.pvc: .*digest.* The circuit \S+b\.pvc: .* The circuit \S+two\/2\.pvc: /,
      facts: { files: ['a.pvc', 'b.pvc', 'two/2.pvc'] },
    },
  )
})

t.test('a data directory and a port that are in use are refused', async (t) => {
  const { url } = await started(t)
  const port = Number(new URL(url).port)
  const start = (directory: string): Promise<RunningServer> => {
    const dataDir = join(t.testdirName, directory)
    const overrides = { modelsDir: t.testdirName, dataDir, port, logLevel: 'silent' as const }
    return readConfig({ overrides }).then(startServer)
  }
  await t.rejects(start('data'), { code: 'CONFIG_INVALID', message: /Another service uses/ })
  // The second try shows that the first one has unlocked its directory.
  for (let i = 0; i < 2; i++) {
    await t.rejects(start('other'), { code: 'CONFIG_INVALID', facts: { port }, message: /cannot listen/ })
  }
})

t.test(
  'stored keys that rot on the disk are deleted, and their client is told to upload again',
  async (t) => {
    const { url } = await started(t)
    const bytes = await keySet()
    const { id } = (await (await upload(url, bytes)).json()) as { id: string }
    const directory = join(t.testdirName, 'data', 'keys')
    const [file] = (await readdir(directory)).filter((name) => name.endsWith('.keys'))
    const stored = await readFile(join(directory, file))
    stored.fill(0xff, stored.length >> 1, (stored.length >> 1) + 64)
    await writeFile(join(directory, file), stored)
    const refused = await infer(url, id, encryptedQuery())
    t.equal(refused.status, 410)
    t.match(await refused.json(), { code: 'KEYS_EXPIRED', detail: /damaged/ })
    t.notOk((await readdir(directory)).includes(file))
    const again = (await (await upload(url, bytes)).json()) as { id: string }
    t.ok(errorOf(await frameOf(await infer(url, again.id, encryptedQuery()))) < 0.01)
  },
)
