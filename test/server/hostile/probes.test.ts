import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { CIRCUITS } from '../../../scripts/building/paths.ts'
import { type Manifest, manifestOf, readCircuit } from '../../../src/circuit/index.ts'
import { KeyRing, LocalModel, memoryKeyStore } from '../../../src/client/index.ts'
import { startService } from '../../cli/service.ts'
import { collect } from '../../wire/fixtures.ts'
import { uploadKeySet } from '../upload-keys.ts'

// All workers and threads of a service compute, and its probes are answered meanwhile. What counts is the
// order of events: no inference has ended when the probes are answered.

const circuit = readCircuit(readFileSync(join(CIRCUITS, 'digits.pvc')))
const manifest: Manifest = manifestOf(circuit)
/** As many as a worker computes for in turns, and one that waits. */
const QUERIES = 3
const PROBES = 100

t.test('probes are answered while all workers compute', async (t) => {
  const service = await startService(join(t.testdir(), 'data'), '--quiet')
  t.teardown(() => service.kill())
  const { url } = service
  const model = new LocalModel(manifest, new KeyRing(memoryKeyStore()))
  const keys = await uploadKeySet(url, circuit, await collect(model.keySet()))
  const [c, h, w] = manifest.input.image
  const frame = await model.encrypt({ shape: [c, h, w], tensor: new Float64Array(c * h * w) })
  const json = Buffer.from(
    JSON.stringify({
      parameters: { key_set: keys, manifest_digest: manifest.digest },
      inputs: [
        { name: 'image', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: frame.length } },
      ],
    }),
  )
  const headers = {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(json.length),
  }
  const body = Buffer.concat([json, frame])
  let ended = 0
  const send = async (): Promise<number> => {
    const answer = await fetch(`${url}/v2/models/digits/infer`, { method: 'POST', headers, body })
    await answer.arrayBuffer()
    ended++
    return answer.status
  }
  const computing = async (): Promise<number> => {
    const text = await (await fetch(`${url}/metrics`)).text()
    return Number(/^polyveil_inferences_computing (\d+)$/m.exec(text)?.[1])
  }
  const sent = Array.from({ length: QUERIES }, send)
  while ((await computing()) === 0) await sleep(5)
  const before = ended
  let probed = 0
  // Until an inference ends: each probe of this loop is answered while the worker computes.
  while (ended === before && probed < PROBES) {
    for (const probe of ['live', 'ready']) {
      const answer = await fetch(`${url}/v2/health/${probe}`)
      if (answer.status !== 200) t.fail(`${probe} is answered with ${answer.status}`)
      await answer.arrayBuffer()
    }
    probed++
  }
  t.ok(probed > 1, `${probed} pairs of probes were answered before an inference ended`)
  t.strictSame(await Promise.all(sent), Array(QUERIES).fill(200), 'all inferences are answered')
})
