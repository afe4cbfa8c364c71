import type { CkksParameters } from '../../../../src/circuit/parameters/parameters.ts'
import type { Circuit, ComplexVector, Op, ValueId } from '../../../../src/circuit/types.ts'
import type { Node } from '../../../../src/compiler/graph/graph.ts'
import { CircuitBuilder } from '../../../../src/compiler/lowering/builder/circuit-builder.ts'
import { Restorer } from '../../../../src/compiler/lowering/restoration/restore.ts'
import type { RestorationShape } from '../../../../src/compiler/lowering/restoration/shape.ts'
import { dataPrimes } from '../../../../src/compiler/planner/modulus/chain.ts'
import { PrimePool } from '../../../../src/compiler/planner/modulus/primes.ts'
import { restorationLevels, restorationPrimes } from '../../../../src/compiler/planner/search/restoration.ts'
import { createClearEvaluator } from '../../../../src/he-ops/clear/evaluator.ts'
import { seededGaussian } from '../../../../src/he-ops/clear/gaussian.ts'
import { execute } from '../../../../src/he-ops/executor.ts'
import { smallCircuit } from '../../../circuit/circuits.ts'

/** Levels of the network in the chains of these tests. */
const NETWORK_LEVELS = 2
const RAISE_LEVEL = 1
const SPECIAL_PRIMES = 4
const WATERLINE = 30

/** The choices that a test varies. */
export interface RestorationChoices {
  readonly stages: readonly number[]
  readonly rotations?: RestorationShape['rotations']
  /** Root mean square that messages are expected to have; 1 by default. */
  readonly rms?: number
  readonly scaleBits?: number
  readonly bound?: number
  /** Levels between two restorations; 2 by default. */
  readonly networkLevels?: number
  /** Copies of the message in the slots; 1 by default. */
  readonly copies?: number
}

/** One value that is restored, as a circuit. */
export interface RestorationCircuit {
  readonly restorer: Restorer
  readonly circuit: Circuit
}

/** Parameters of any ring, without the security that `checkParameters` asks for. */
export function restorationParameters(ring: number, choices: RestorationChoices): CkksParameters {
  const { stages, scaleBits = 46 } = choices
  const plan = { stages, rotations: ROTATIONS, scaleBits, lowBits: 27, raiseBits: 46 }
  const fixed = restorationPrimes(ring, plan, RAISE_LEVEL, { least: 18, most: 30 })!
  const base = fixed.base!
  const pool = new PrimePool(ring, new Set([...fixed.high, ...fixed.low, ...base]))
  const take = (bits: number): bigint => {
    for (let size = bits; size <= 30; size++) {
      const prime = pool.take(size)
      if (prime !== undefined) return prime
    }
    throw new Error(`Ring ${ring} has no prime of ${bits} bits left`)
  }
  const network = Array.from({ length: NETWORK_LEVELS }, () => take(28))
  const specialPrimes = Array.from({ length: SPECIAL_PRIMES }, () => take(30))
  const primes = dataPrimes({ ring, base, levels: [...fixed.low, ...network, ...fixed.high] })
  return {
    ring,
    slots: ring / 2,
    primes,
    specialPrimes,
    topLevel: primes.length - 1,
    raiseLevel: RAISE_LEVEL,
    logQP: 0,
    security: 128,
    digest: String(ring).padStart(64, '0'),
  } as unknown as CkksParameters
}

const ROTATIONS: RestorationShape['rotations'] = { babySteps: 'chain', giantSteps: 'horner' }

/** A circuit that drops its input to the refresh level and restores it. */
export function restorationCircuit(
  parameters: CkksParameters,
  choices: RestorationChoices,
): RestorationCircuit {
  const { stages, rotations = ROTATIONS, rms = 1, scaleBits = 46, bound = 13, copies = 1 } = choices
  const plan = { stages, rotations, scaleBits, lowBits: 27, raiseBits: 46 }
  const levels = restorationLevels(plan, parameters.raiseLevel!, choices.networkLevels ?? NETWORK_LEVELS)
  const restorer = new Restorer({ ...plan, bound, levels })
  const policy = { waterline: WATERLINE, step: 20, rounding: 10, input: WATERLINE }
  const slots = parameters.slots / copies
  const chain = { ...parameters, slots, copies, inputLevel: levels.network }
  const builder = new CircuitBuilder(chain, policy, 'circuit')
  builder.layer({ name: 'restored', kind: 'test', shape: [1, 1, 1], slotsUsed: 1, interleave: 1 })
  const result = builder.within({} as Node, () => restorer.restore(builder, builder.input(0), rms))
  const base = smallCircuit()
  const { level, scale } = builder.type(result)
  const circuit: Circuit = {
    ...base,
    parameters,
    ops: builder.ops,
    constants: builder.constants,
    layers: base.layers.slice(0, 1),
    result,
    input: {
      ...base.input,
      layout: { ...base.input.layout, ciphertexts: 1 },
      level: levels.network,
      scale: 2 ** WATERLINE,
    },
    output: { ...base.output, period: parameters.slots, level, scale, flooding: 2 ** -20 },
    raise: { bound },
  }
  return { restorer, circuit }
}

/** Normally distributed complex numbers, all different. */
export function message(slots: number, deviation = 1): ComplexVector {
  const gaussian = seededGaussian(9)
  const part = () => Float64Array.from({ length: slots }, () => deviation * gaussian())
  return { real: part(), imaginary: part() }
}

/** The slots of a message and of its further copies. */
export function repeated({ real, imaginary }: ComplexVector, copies: number): ComplexVector {
  const times = (part: Float64Array) =>
    Float64Array.from({ length: copies * part.length }, (_, s) => part[s % part.length])
  return { real: times(real), imaginary: times(imaginary) }
}

/** The circuit's result on the clear backend. */
export function restoredInClear(
  circuit: Circuit,
  slots: ComplexVector,
  noise: 'none' | 'model',
): ComplexVector {
  const evaluator = createClearEvaluator(circuit, { noise, seed: 3 })
  const { level, scale } = circuit.input
  const result = execute(circuit, evaluator, [evaluator.encrypt(slots, level, scale)])
  return evaluator.decrypt(result)
}

/** Root mean square and largest absolute value of the difference of all parts. */
export function errorOf(
  a: ComplexVector,
  b: ComplexVector,
): { readonly rms: number; readonly largest: number } {
  let sum = 0
  let largest = 0
  for (const part of ['real', 'imaginary'] as const) {
    a[part].forEach((value, s) => {
      const difference = Math.abs(value - b[part][s])
      sum += difference ** 2
      largest = Math.max(largest, difference)
    })
  }
  return { rms: Math.sqrt(sum / (2 * a.real.length)), largest }
}

/** The circuit with one operation replaced. */
export const withOp = (circuit: Circuit, id: ValueId, op: Op): Circuit => ({
  ...circuit,
  ops: circuit.ops.map((own, index) => (index === id ? op : own)),
})
