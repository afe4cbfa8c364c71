import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { writeCircuit } from '../../../src/circuit/index.ts'
import { connect, memoryKeyStore } from '../../../src/client/index.ts'
import { type Service, startService } from '../../cli/service.ts'
import { freePort } from '../../support/free-port.ts'
import { circuit, image, largestError, MODEL, StepClient } from '../refreshed-service.ts'

// The service as operators run it, in a process of its own, which ends in the middle of an inference.

const CLOSE = 0.02

/** A service that can be started again on the same port and data. */
async function restartable(t: Test) {
  const directory = t.testdir({ models: {} })
  const models = join(directory, 'models')
  writeFileSync(join(models, 'refreshed.pvc'), writeCircuit(circuit))
  const settings = join(directory, 'settings.json')
  writeFileSync(settings, JSON.stringify({ modelsDir: models, threads: 1, workers: 1, shutdownSeconds: 1 }))
  const port = await freePort()
  const start = async (): Promise<Service> => {
    const service = await startService(
      join(directory, 'data'),
      '--config',
      settings,
      '--port',
      String(port),
      '--quiet',
    )
    t.teardown(() => service.kill())
    return service
  }
  return { start, url: `http://127.0.0.1:${port}` }
}

const ENDS: [signal: string, end: (service: Service) => Promise<unknown>][] = [
  ['SIGKILL', (service) => service.kill()],
  ['SIGTERM', (service) => service.stop()],
]

for (const [signal, end] of ENDS) {
  t.test(`${signal} in the middle of an inference loses the inference and no keys`, async (t) => {
    const { start, url } = await restartable(t)
    const first = await start()
    t.equal(first.url, url)
    const client = await StepClient.create(url)
    const begun = await client.begin('mine')
    t.equal(begun.json.outputs[0].name, 'refresh')
    const open = client.output('mine', 1).then(
      ({ status }) => status,
      () => 'broken',
    )
    const code = await end(first)
    if (signal === 'SIGTERM') t.equal(code, 0, 'it ends in order')
    t.not(await open, 200, 'a request that waited is answered with an error, or broken off')
    const second = await start()
    t.match(await client.answer(begun), { status: 404, json: { code: 'INFERENCE_UNKNOWN', remedy: String } })
    t.match(await client.own('GET', 'v2/inferences/mine'), { status: 404 })
    t.match(await client.own('GET', 'v2/keys'), { status: 200, json: { complete: true } })
    t.ok(
      (await client.classify()) < CLOSE,
      'a new inference succeeds with the keys that were uploaded before',
    )
    t.equal(await second.stop(), 0)
    t.equal(second.stderr(), '')
  })
}

t.test('the SDK does all of it by itself', async (t) => {
  const { start, url } = await restartable(t)
  let service = await start()
  let uploads = 0
  let replies = 0
  const dying: typeof fetch = async (input, init) => {
    if (init?.method === 'PUT') uploads++
    if (init?.method === 'POST' && /rounds\/0$/.test(String(input)) && replies++ === 0) {
      await service.kill()
      service = await start()
    }
    return fetch(input, init)
  }
  const polyveil = await connect(url, { keys: memoryKeyStore(), fetch: dying })
  t.teardown(() => polyveil.close())
  await polyveil.keys(MODEL)
  const before = uploads
  const logits = Float64Array.of(0, 0, 0)
  for (const { index, logit } of await polyveil.classify(MODEL, image)) logits[index] = logit
  t.ok(largestError(logits) < CLOSE)
  t.equal(uploads, before, 'no key is uploaded again')
})
