import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { writeCircuit } from '../../../src/circuit/format/file.ts'
import { readConfig } from '../../../src/server/config.ts'
import { createLogger } from '../../../src/server/plugins/logging.ts'
import { startServer } from '../../../src/server/start.ts'
import { rotatingCircuit } from '../rotating-circuit.ts'
import { type KnownCircuit, SealedClient } from '../sealed-client.ts'
import { uploadKeySet } from '../upload-keys.ts'

// A server whose engine has the least memory that can be set. It has room for one client's keys for the small
// circuit, but neither for two clients' keys at once nor for the large circuit.
const LIMIT = 16
const small = rotatingCircuit('small', 8)
const large = rotatingCircuit('large', 24)

const clients = await Promise.all([SealedClient.create(large), SealedClient.create(small)])
const directory = t.testdir()
for (const { circuit } of [small, large]) {
  await writeFile(join(directory, `${circuit.model}.pvc`), writeCircuit(circuit))
}
const config = await readConfig({
  overrides: {
    modelsDir: directory,
    dataDir: join(directory, 'data'),
    port: 0,
    threads: 1,
    maxEventLoopDelayMs: 0,
    engineMegabytes: LIMIT,
  },
})
const lines: Record<string, unknown>[] = []
const logger = createLogger('info', { write: (line) => lines.push(JSON.parse(line)) })
const server = await startServer(config, logger)
t.teardown(async () => {
  await server.close()
  for (const client of clients) client.delete()
})

async function infer(
  client: SealedClient,
  id: string,
  { circuit, manifest }: KnownCircuit,
): Promise<Response> {
  const frame = client.query(manifest)
  const json = Buffer.from(
    JSON.stringify({
      parameters: { key_set: id, manifest_digest: manifest.digest },
      inputs: [
        { name: 'image', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: frame.length } },
      ],
    }),
  )
  return fetch(`${server.url}/v2/models/${circuit.model}/infer`, {
    method: 'POST',
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(json.length),
    },
    body: Buffer.concat([json, frame]),
  })
}

async function errorOf(client: SealedClient, answer: Response, known: KnownCircuit): Promise<number> {
  const length = Number(answer.headers.get('inference-header-content-length'))
  return client.errorOf(new Uint8Array(await answer.arrayBuffer()).subarray(length), known)
}

const ids = await Promise.all([
  clients[0].keySet().then((bytes) => uploadKeySet(server.url, large.circuit, bytes)),
  clients[1].keySet().then((bytes) => uploadKeySet(server.url, small.circuit, bytes)),
])

t.test(
  'a model that does not fit is 507, and the answer states its memory and has no Retry-After',
  async (t) => {
    for (let again = 0; again < 3; again++) {
      const answer = await infer(clients[0], ids[0], large)
      t.equal(answer.status, 507)
      t.equal(answer.headers.get('content-type'), 'application/problem+json')
      t.equal(answer.headers.get('retry-after'), null)
      const problem = (await answer.json()) as { detail: string }
      t.match(problem, {
        code: 'TOO_LARGE',
        status: 507,
        neededBytes: large.circuit.estimate.memoryBytes,
        limitBytes: LIMIT * 2 ** 20,
      })
      t.match(problem.detail, /^Model large takes about \d\d MB .* gives its engine 17 MB$/)
    }
    t.equal((await fetch(`${server.url}/v2/health/ready`)).status, 200)
  },
)

t.test(
  'requests for a model that does not fit do not block each other or those for the small model',
  async (t) => {
    const another = await clients[0].keySet().then((bytes) => uploadKeySet(server.url, large.circuit, bytes))
    const answers = await Promise.all([
      infer(clients[0], ids[0], large),
      infer(clients[0], another, large),
      infer(clients[1], ids[1], small),
      infer(clients[0], ids[0], large),
    ])
    t.strictSame(
      answers.map(({ status }) => status),
      [507, 507, 200, 507],
    )
  },
)

t.test('models that fit are still served; clients take turns in memory', async (t) => {
  for (const k of [0, 1, 0, 0, 1]) {
    const answer = await infer(clients[k], ids[k], small)
    t.equal(answer.status, 200)
    t.ok((await errorOf(clients[k], answer, small)) < 0.01)
  }
  t.equal((await infer(clients[0], ids[0], large)).status, 507)
  t.equal((await infer(clients[1], ids[1], small)).status, 200)
})

t.test('the log states the memory of keys and circuit each time they are loaded', async (t) => {
  const opened = lines.filter(({ msg }) => msg === 'Keys and circuit are ready to run')
  // Keys were loaded for client 1 beside the requests for the large model, then for clients 0, 1, 0 (once for
  // two requests) and 1. The last request for the large model did not displace those of client 1.
  t.equal(opened.length, 5)
  for (const line of opened) {
    t.match(line, { level: 30, model: 'small', threads: 1 })
    const { keys, constants, program } = line.engineMegabytes as Record<string, number>
    t.equal(keys, 6.3)
    t.ok(constants < 0.1)
    t.ok(program > 2 && program < 6, `${program} MB`)
  }
  t.notMatch(JSON.stringify(lines), new RegExp(ids.join('|')), 'the log names no key set')
})
