import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { writeCircuit } from '../../../src/circuit/format/file.ts'
import { manifestOf } from '../../../src/circuit/index.ts'
import type { Circuit } from '../../../src/circuit/types.ts'
import type { RunningServer } from '../../../src/server/start.ts'
import { refreshedCircuit } from '../../he-ops/simd/circuits.ts'
import { StepClient } from '../refreshed-service.ts'
import { rotatingCircuit } from '../rotating-circuit.ts'
import { SealedClient } from '../sealed-client.ts'
import { serving } from '../serving.ts'
import { uploadKeySet } from '../upload-keys.ts'

// Circuits that are replaced and removed while a complete service runs them.

/** Puts the whole file into its place at once, and has the server look. */
async function put(t: Test, server: RunningServer, circuit: Circuit): Promise<void> {
  const path = join(t.testdirName, `${circuit.model}.pvc`)
  await writeFile(`${path}.draft`, writeCircuit(circuit))
  await rename(`${path}.draft`, path)
  await server.lookForModels()
}

t.test('inferences under way end with the circuit that they began with', async (t) => {
  const circuit = refreshedCircuit({ overlapping: true })
  const server = await serving(t as Test, circuit, { modelsPollSeconds: 0, maxInferencesPerAddress: 1 })
  const manifest = manifestOf(circuit)
  const client = await StepClient.create(server.url, manifest)
  const another = await StepClient.create(server.url, manifest)
  const first = await client.begin()
  t.equal(first.status, 200)
  // This one waits for its turn. No worker has its keys, so it opens a session after the file was removed.
  const waiting = another.begin()
  while (
    (await (await fetch(`${server.url}/metrics`)).text()).match(
      /^polyveil_inferences_waiting (\d+)$/m,
    )?.[1] !== '1'
  );
  const spare = rotatingCircuit('spare', 1).circuit
  await put(t as Test, server, spare)
  await rm(join(t.testdirName, `${circuit.model}.pvc`))
  await server.lookForModels()
  t.equal((await fetch(`${server.url}/v2/models/${circuit.model}/manifest`)).status, 410)
  t.ok((await client.finish(first)) < 0.01)
  const second = await waiting
  t.equal(second.status, 200)
  t.ok((await another.finish(second)) < 0.01)
  t.equal((await client.begin()).status, 410, 'new ones are refused')
})

t.test('new inferences get the new circuit, also when its manifest is the same', async (t) => {
  const known = rotatingCircuit('small', 8)
  const server = await serving(t as Test, known.circuit, { modelsPollSeconds: 0, engineMegabytes: 16 })
  const client = await SealedClient.create(known)
  t.teardown(() => client.delete())
  const id = await uploadKeySet(server.url, known.circuit, await client.keySet())
  const errorNow = async (of: typeof known): Promise<number> => {
    const answer = await infer(server, client, id, known)
    const body = new Uint8Array(await answer.arrayBuffer())
    t.equal(answer.status, 200)
    return client.errorOf(body.subarray(Number(answer.headers.get('inference-header-content-length'))), of)
  }
  t.ok((await errorNow(known)) < 0.01)
  // Sessions and constants of retired circuits would fill the engine's memory.
  for (let factor = 2; factor < 22; factor++) {
    const weights = Float64Array.of(0.5 / factor, -0.25 / factor)
    const next = { ...known.circuit, constants: [weights, Float64Array.of(0.75)] }
    const expected: typeof known.expected = (x, y, s) =>
      (known.expected(x, y, s) - 0.75 * y[s]) / factor + 0.75 * y[s]
    await put(t as Test, server, next)
    t.equal(manifestOf(next).digest, known.manifest.digest)
    t.ok((await errorNow({ ...known, expected })) < 0.01, `circuit ${factor}`)
  }
})

function infer(
  { url }: RunningServer,
  client: SealedClient,
  id: string,
  { manifest }: ReturnType<typeof rotatingCircuit>,
): Promise<Response> {
  const frame = client.query()
  const json = Buffer.from(
    JSON.stringify({
      parameters: { key_set: id, manifest_digest: manifest.digest },
      inputs: [
        { name: 'image', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: frame.length } },
      ],
    }),
  )
  return fetch(`${url}/v2/models/${manifest.model}/infer`, {
    method: 'POST',
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(json.length),
    },
    body: Buffer.concat([json, frame]),
  })
}
