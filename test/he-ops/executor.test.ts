import t from 'tap'
import { peakLiveValues } from '../../src/circuit/liveness.ts'
import type { Circuit } from '../../src/circuit/types.ts'
import { type ClearCiphertext, createClearEvaluator } from '../../src/he-ops/clear/evaluator.ts'
import { ExecutionStopped, execute } from '../../src/he-ops/executor.ts'
import { smallCircuit } from '../circuit/circuits.ts'

const circuit = smallCircuit()
const { slots } = circuit.parameters
const x = Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1))
const y = Float64Array.from({ length: slots }, (_, s) => Math.cos(3 * s) / 2)

function prepared(target: Circuit = circuit) {
  const evaluator = createClearEvaluator(target)
  const { level, scale } = target.input
  const inputs = [evaluator.encrypt(x, level, scale), evaluator.encrypt(y, level, scale)]
  return { evaluator, inputs }
}

/** The function that `smallCircuit` computes, in plain arithmetic. */
function expected(): Float64Array {
  const [[a, b], [c], d] = circuit.constants
  return x.map((_, s) => {
    const weight = s % 2 === 0 ? a : b
    const z = weight * (x[(s + 7) % slots] - x[s]) + c * y[s] + weight * x[s]
    return 2 * z * z + d[s]
  })
}

t.test('computes the circuit and frees all values except inputs and result', async (t) => {
  const { evaluator, inputs } = prepared()
  const result = execute(circuit, evaluator, inputs)
  const worst = evaluator
    .decrypt(result)
    .real.reduce((most, v, s) => Math.max(most, Math.abs(v - expected()[s])), 0)
  t.ok(worst < 1e-12, `largest difference ${worst}`)
  t.equal(evaluator.live, 3)
})

t.test('takeInputs frees the inputs too', async (t) => {
  const { evaluator, inputs } = prepared()
  execute(circuit, evaluator, inputs, { takeInputs: true })
  t.equal(evaluator.live, 1)
})

t.test('frees values at their last use: never more are live than the circuit states', async (t) => {
  const { evaluator, inputs } = prepared()
  let peak = 0
  execute(circuit, evaluator, inputs, {
    takeInputs: true,
    observe: () => {
      peak = Math.max(peak, evaluator.live)
    },
  })
  t.equal(peak, peakLiveValues(circuit))
})

t.test('reports progress and every value', async (t) => {
  const { evaluator, inputs } = prepared()
  const progress: number[][] = []
  const observed: number[] = []
  execute(circuit, evaluator, inputs, {
    onProgress: (...facts) => progress.push(facts),
    observe: (id, value: ClearCiphertext) => {
      observed.push(id)
      t.equal(value.scale, circuit.ops[id].scale)
      t.equal(value.level, circuit.ops[id].level)
    },
  })
  t.same(observed, [...circuit.ops.keys()])
  t.same(progress[0], [1, 11, 0])
  t.same(progress[10], [11, 11, 1])
})

for (const takeInputs of [false, true]) {
  const left = takeInputs ? 0 : 2
  t.test(`frees all values when it is stopped anywhere (takeInputs ${takeInputs})`, async (t) => {
    for (let stopAt = 0; stopAt < circuit.ops.length; stopAt++) {
      const { evaluator, inputs } = prepared()
      let asked = 0
      const run = () =>
        execute(circuit, evaluator, inputs, { takeInputs, shouldStop: () => asked++ === stopAt })
      t.throws(run, new ExecutionStopped(stopAt))
      t.equal(evaluator.live, left, `stopped at ${stopAt}`)
    }
  })

  t.test(`frees all values when an operation throws (takeInputs ${takeInputs})`, async (t) => {
    const { evaluator, inputs } = prepared()
    const failing = { ...evaluator, relinearise: () => fail('no key') }
    t.throws(() => execute(circuit, failing, inputs, { takeInputs }), { message: 'no key' })
    t.equal(evaluator.live, left)
  })

  t.test(`frees all values when an observer throws (takeInputs ${takeInputs})`, async (t) => {
    const { evaluator, inputs } = prepared()
    t.throws(() => execute(circuit, evaluator, inputs, { takeInputs, observe: () => fail('bad observer') }))
    t.equal(evaluator.live, left)
  })
}

t.test('inputs that do not fit the circuit are refused', async (t) => {
  const { evaluator, inputs } = prepared()
  const error = { code: 'TENSOR_MALFORMED' }
  t.throws(() => execute(circuit, evaluator, inputs.slice(1)), error)
  const low = evaluator.encrypt(x, 1, circuit.input.scale)
  t.throws(() => execute(circuit, evaluator, [inputs[0], low]), error)
  const coarse = evaluator.encrypt(x, 2, 2 ** 29)
  t.throws(() => execute(circuit, evaluator, [coarse, inputs[1]]), error)
})

function fail(message: string): never {
  throw new Error(message)
}
