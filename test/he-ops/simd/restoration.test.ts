import t, { type Test } from 'tap'
import { circuitElements } from '../../../src/circuit/keys.ts'
import type { CkksParameters } from '../../../src/circuit/parameters/parameters.ts'
import type { Circuit } from '../../../src/circuit/types.ts'
import { createClientKey, sampleSecretKey } from '../../../src/he-ops/client/create.ts'
import { SealClientKey } from '../../../src/he-ops/client/seal-key.ts'
import { SimdEngine } from '../../../src/he-ops/simd/index.ts'
import { bytesSource, levelShape, type PackedRlwe } from '../../../src/wire/index.ts'
import { packedRlwe, rlweBytes, writeRlwe } from '../../../src/wire/rlwe.ts'
import {
  errorOf,
  message,
  type RestorationChoices,
  repeated,
  restorationCircuit,
  restorationParameters,
} from '../../compiler/lowering/restoration/restored.ts'
import { unpacked } from './fixture.ts'

// A whole restoration under encryption. The ring is too small for the ephemeral secret to be secure, so that
// the test is fast. The kernels make the keys; node-seal encrypts and decrypts.

const RING = 8192
const CASES: readonly RestorationChoices[] = [
  { stages: [4, 4, 4] },
  { stages: [3, 3, 4], copies: 4, rotations: { babySteps: 'tree', babiesForGiant: 2, giantSteps: 'horner' } },
]

async function keySet(circuit: Circuit, secret: Uint32Array): Promise<Uint8Array> {
  const { parameters } = circuit
  const key = await createClientKey(parameters, secret.slice(), 'test')
  const chunks: Uint8Array[] = []
  for await (const chunk of key.keySet(circuitElements(parameters, circuit))) chunks.push(chunk)
  key.delete()
  return Buffer.concat(chunks)
}

/** A pair as it is sent. */
function packed(
  parameters: CkksParameters,
  pair: Awaited<ReturnType<SealClientKey['encryptSlots']>>[number],
  level: number,
): PackedRlwe {
  const shape = levelShape(parameters, level)
  const bytes = new Uint8Array(rlweBytes(shape, true))
  writeRlwe(shape, pair, bytes)
  return packedRlwe(shape, bytes)
}

for (const choices of CASES) {
  const { stages, copies = 1 } = choices
  t.test(`${stages.join(' + ')} stages, ${copies} copies: a value comes back with the stated error`, (t) =>
    comesBack(t, choices),
  )
}

async function comesBack(t: Test, choices: RestorationChoices): Promise<void> {
  const { copies = 1 } = choices
  const parameters = restorationParameters(RING, choices)
  const { circuit, restorer } = restorationCircuit(parameters, choices)
  const secret = await sampleSecretKey(parameters)
  // node-seal's client makes no keys of ephemeral secrets, and is asked for none.
  const { raiseLevel: _, ...withoutRaise } = parameters
  const seal = await SealClientKey.create(withoutRaise as CkksParameters, secret.slice(), 'test')
  t.teardown(() => seal.delete())
  const engine = await SimdEngine.create({ threads: 2 })
  t.teardown(() => engine.close())
  const keys = engine.newKeySet(parameters)
  const session = await engine.open(circuit, keys, bytesSource(await keySet(circuit, secret)))
  const slots = repeated(message(RING / 2 / copies), copies)
  const { input, output } = circuit
  const [pair] = await seal.encryptSlots([slots], input.level, input.scale)
  const result = unpacked(await session.run([packed(parameters, pair, input.level)]))
  const back = await seal.decryptPeriodic(result, output.level, output.scale, parameters.slots)
  const { rms, largest } = errorOf(back, slots)
  const stated = Math.sqrt(restorer.errorVariance(RING, 1))
  t.ok(rms < 1.2 * stated, `rms 2^${Math.log2(rms)}, stated 2^${Math.log2(stated)}`)
  t.ok(rms > stated / 8, 'the stated error is not far from the found one')
  // The sine deviates from the largest messages by more.
  t.ok(largest < 2 ** -12, `largest 2^${Math.log2(largest)}`)
  session.free()
  keys.free()
}
