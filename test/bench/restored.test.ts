import t from 'tap'
import { chosenNames } from '../../bench/parts/chosen-names.ts'
import { OperationClock } from '../../bench/parts/operation-clock.ts'
import { accuracyOf } from '../../bench/parts/restored/network.ts'
import { RESTORED_NETWORKS } from '../../bench/parts/restored/networks.ts'
import { plannedRestoration } from '../../bench/parts/restored/planned.ts'
import { restorationSteps } from '../../bench/parts/restored/steps.ts'
import { checkParameters, MAX_LOG_QP, parametersLiteral } from '../../src/circuit/parameters/parameters.ts'
import { raiseFailure } from '../../src/circuit/raise.ts'
import { restorationBound, restorationLevels } from '../../src/compiler/planner/search/restoration.ts'
import { referenceForward } from '../../src/models/index.ts'
import { maxDigitSources, stepsOf } from '../../src/schedule/steps.ts'
import { restorationCircuit } from '../compiler/lowering/restoration/restored.ts'
import { deviation, goldenNetwork } from '../models/support/golden.ts'

const RING = 32768
const network = await goldenNetwork('micro_lr')
const { parameters, plan, networkLevels } = plannedRestoration(network, RING, 8)
const { circuit } = restorationCircuit(parameters, {
  ...plan,
  bound: restorationBound(RING),
  networkLevels,
})

t.test('one restoration has secure parameters, and the levels of the plan', async (t) => {
  t.equal(checkParameters(parametersLiteral(parameters)).digest, parameters.digest)
  t.ok(parameters.logQP <= MAX_LOG_QP[RING])
  const levels = restorationLevels(plan, parameters.raiseLevel!, networkLevels)
  t.equal(levels.top, parameters.topLevel, 'the chain has no other levels')
  t.equal(circuit.output.level, levels.network)
  t.equal(circuit.ops.filter(({ kind }) => kind === 'raise').length, 1)
  t.ok(raiseFailure(circuit) < -40)
})

t.test('every operation of a restoration belongs to a step, in order', async (t) => {
  const stepOf = restorationSteps(circuit)
  const names = circuit.ops.map((_, id) => stepOf(id))
  t.strictSame([...new Set(names)], ['slots to coefficients', 'raise', 'coefficients to slots', 'sines'])
  const rotations = (name: string): number =>
    circuit.ops.filter(({ kind }, id) => kind === 'rotate' && names[id] === name).length
  t.ok(rotations('slots to coefficients') > 0)
  t.equal(
    rotations('slots to coefficients'),
    rotations('coefficients to slots'),
    'as many for both transforms',
  )
  t.equal(rotations('sines'), 0)
  const relinearised = circuit.ops.flatMap(({ kind }, id) => (kind === 'relinearise' ? [names[id]] : []))
  t.strictSame([...new Set(relinearised)], ['sines'])
  const twice = { ops: [...circuit.ops, ...circuit.ops] }
  t.throws(() => restorationSteps(twice), /exactly one/)
  t.throws(() => restorationSteps({ ops: circuit.ops.slice(0, 1) }), /exactly one/)
})

t.test('a clock attributes all seconds of phases to the steps', async (t) => {
  const clock = new OperationClock(circuit)
  const ends: number[] = []
  let done = 0
  for (const { ops } of stepsOf(circuit, maxDigitSources(parameters))) {
    done += ops.length
    ends.push(done)
  }
  t.equal(done, circuit.ops.length)
  for (const end of ends) clock.charge(end, 1)
  const rows = clock.rows(2, restorationSteps(circuit), 2)
  const total = rows.reduce((sum, { seconds }) => sum + seconds, 0)
  t.ok(
    Math.abs(total - ends.length / 2) < 0.01 * ends.length,
    `${total} of ${ends.length / 2} seconds of a run`,
  )
  for (const { what, seconds, modelSeconds, ratio = 0 } of rows) {
    t.ok(Math.abs(ratio / ((2 * seconds) / modelSeconds) - 1) < 0.01, what)
  }
  t.throws(() => clock.charge(circuit.ops.length + 1, 1), /not the end of a step/)
})

t.test('errors are relative to the deviation of the logits; wrong results end the benchmark', async (t) => {
  const images = [0.1, -0.2].map((value) =>
    Float64Array.from({ length: 3 * network.height * network.width }, (_, i) => value * Math.sin(i)),
  )
  const clear = images.map((image) => referenceForward(network, image))
  const off = (share: number) =>
    clear.map((row) => ({ logits: row.map((x, i) => (i === 0 ? x - share * deviation(row) : x)) }))
  const { sameLabel, errorInDeviations } = accuracyOf({ network, images }, off(1e-4))
  t.equal(sameLabel, 2)
  t.ok(Math.abs(errorInDeviations.largest / 1e-4 - 1) < 1e-3)
  const rms = 1e-4 / Math.sqrt(clear[0].length)
  t.ok(Math.abs(errorInDeviations.rms / rms - 1) < 1e-3, 'one logit of each image is off')
  t.throws(() => accuracyOf({ network, images }, off(0.04)), /a logit is 0\.0[34]/)
  t.throws(() => accuracyOf({ network, images }, off(Number.NaN)), /a logit is/)
  t.throws(() => accuracyOf({ network, images }, off(0).slice(1)), /every image/)
})

t.test('networks have different images for plans and for classifications', async (t) => {
  const golden = RESTORED_NETWORKS.find(({ name }) => name === 'micro_lr')!
  const task = await golden.task(5)
  if (typeof task === 'string') return t.fail(task)
  t.equal(task.options.refresh, 'server')
  t.strictSame([task.images.length, task.calibration.length], [2, 2], 'the golden network has four images')
  const all = [...task.images, ...task.calibration].map((image) => image.join())
  t.equal(new Set(all).size, 4)
})

t.test('names are chosen from a list', async (t) => {
  t.strictSame(chosenNames(['a', 'b', 'c'], undefined), ['a', 'b', 'c'])
  t.strictSame(chosenNames(['a', 'b', 'c'], 'c,a'), ['c', 'a'])
  t.throws(() => chosenNames(['a', 'b'], 'a,d'), /Nothing is called d: a, b/)
})
