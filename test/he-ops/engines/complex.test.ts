import t from 'tap'
import { manifestOf } from '../../../src/circuit/manifest/manifest.ts'
import type { CkksParameters } from '../../../src/circuit/parameters/parameters.ts'
import type { Circuit, ComplexVector } from '../../../src/circuit/types.ts'
import { KeyRing, LocalModel, memoryKeyStore } from '../../../src/client/index.ts'
import { createClearEvaluator } from '../../../src/he-ops/clear/evaluator.ts'
import { createEngine } from '../../../src/he-ops/engine-for.ts'
import { execute } from '../../../src/he-ops/executor.ts'
import { newFloodingKeys } from '../../../src/he-ops/flooding.ts'
import { engineNameFor } from '../../../src/schedule/engine-name.ts'
import {
  bytesSource,
  decodeTensor,
  encodeTensor,
  type FullRlwe,
  querySpec,
  responseSpec,
} from '../../../src/wire/index.ts'
import { parameters as sealParameters } from '../../circuit/circuits.ts'
import { complexVector } from '../../conformance/complex.ts'
import { collect } from '../../wire/fixtures.ts'
import { CircuitBuilder, parameters as simdParameters } from '../simd/circuits.ts'

// Circuits on complex slots, run by sessions as the service opens them. Queries, keys and answers travel as
// frames, and the client decrypts both parts of every slot.

/**
 * (c0 * conj(x) + c1 * i y + c2 * rotate(x, 7))^2 + c3; constants are complex, one of them an outer product.
 */
function circuitFor(parameters: CkksParameters): Circuit {
  const { slots } = parameters
  const build = new CircuitBuilder(parameters)
  const x = build.input()
  const y = build.input()
  const sum = build.dot([
    [build.conjugate(x), 0],
    [build.timesI(y), 1],
    [build.rotate(x, 7), 2],
  ])
  const z = build.rescale(sum)
  build.addPlain(build.relinearise(build.multiply(z, z)), 3)
  return build.finish([
    complexVector(4, (i) => [i - 1.5, 0.5 - i / 8]),
    {
      fine: complexVector(8, (i) => [0.5 - i / 4, 1 - i / 8]),
      coarse: Float64Array.from({ length: 16 }, (_, i) => Math.cos(i + 2)),
    },
    Float64Array.of(0.75, -0.5),
    complexVector(slots, (i) => [Math.sin(i * i), Math.cos(i + 1)]),
  ])
}

function expectedFor(circuit: Circuit, inputs: readonly ComplexVector[]): ComplexVector {
  const clear = createClearEvaluator(circuit)
  const { level, scale } = circuit.input
  const encrypted = inputs.map((slots) => clear.encrypt(slots, level, scale))
  return clear.decrypt(execute(circuit, clear, encrypted))
}

for (const [name, parameters] of [
  ['simd', simdParameters],
  ['seal', sealParameters],
] as const) {
  t.test(`the ${name} engine computes on complex slots what the clear backend says`, async (t) => {
    t.equal(engineNameFor(parameters), name)
    const circuit = circuitFor(parameters)
    const { slots } = parameters
    const inputs = [
      complexVector(slots, (s) => [Math.sin(s + 1), Math.cos(s * s) / 2]),
      complexVector(slots, (s) => [Math.cos(5 * s) - 0.25, Math.sin(3 * s)]),
    ]
    const manifest = manifestOf(circuit)
    t.equal(manifest.galoisElements.at(-1), 2 * parameters.ring - 1)
    const ring = new KeyRing(memoryKeyStore())
    const model = new LocalModel(manifest, ring)
    const engine = await createEngine(name, { threads: 2 })
    const keySet = await collect(model.keySet())
    const session = await engine.open({
      circuit,
      manifest,
      keys: engine.newKeys(parameters),
      source: bytesSource(keySet),
      floodingKeys: newFloodingKeys(),
    })
    const key = await ring.unlock(parameters)
    const { level, scale } = circuit.input
    const query = encodeTensor(parameters, querySpec(manifest), await key.encryptSlots(inputs, level, scale))
    const frame = await session.infer(query)
    const [pair] = decodeTensor(parameters, responseSpec(manifest), frame) as FullRlwe[]
    const { output } = circuit
    const found = await key.decryptPeriodic(pair, output.level, output.scale, slots)
    const expected = expectedFor(circuit, inputs)
    const worst = found.real.reduce((most, value, s) => {
      const error = Math.hypot(value - expected.real[s], found.imaginary[s] - expected.imaginary[s])
      return Math.max(most, error)
    }, 0)
    t.ok(worst < 0.02, `off by ${worst}`)
    t.ok(
      expected.imaginary.some((value) => Math.abs(value) > 1),
      'the imaginary parts are not small',
    )
    session.free()
    await engine.close()
    ring.close()
  })
}
