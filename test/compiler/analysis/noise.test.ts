import t from 'tap'
import type { Op } from '../../../src/circuit/types.ts'
import { type NoisyBody, sourceNoises } from '../../../src/compiler/analysis/noise.ts'
import type { Node } from '../../../src/compiler/graph/graph.ts'
import { encodingNoise, keySwitchingNoise, symmetricEncryptionNoise } from '../../../src/he-ops/noise.ts'
import { parameters } from '../../circuit/circuits.ts'

const SCALE = 2 ** 30
const at = { level: 2, scale: SCALE, layer: 0 }
const node = {
  kind: 'input',
  sensitivity: { tensor: 1, relative: 0, weights: 0, scattered: 0, moved: 0 },
} as unknown as Node

/** Deviation of the error in the last operation's value, in units of 1 / scale. */
function noiseOf(ops: readonly Op[], noiseSourceOf = ops.map(() => 0)): number {
  const body: NoisyBody = {
    ops,
    counts: ops.map(() => 1),
    noiseSourceOf,
    noiseSources: Array.from({ length: 1 + Math.max(...noiseSourceOf) }, () => node),
    entering: [],
    statistics: [
      { period: 64, gain: 1, rounding: 1 },
      { period: 64, gain: 1, rounding: 1 / 2 },
    ],
    result: ops.length - 1,
  }
  return sourceNoises(body, parameters).at(-1)!.tensor * SCALE
}

const input: Op = { kind: 'input', index: 0, ...at }
const fresh = Math.hypot(symmetricEncryptionNoise(parameters), encodingNoise(parameters.slots))
const isClose = (a: number, b: number): boolean => Math.abs(a / b - 1) < 1e-9

t.test('a conjugation adds the noise of a key switch, a product with i none', async (t) => {
  const conjugate: Op = { kind: 'conjugate', source: 0, ...at }
  const timesI: Op = { kind: 'timesI', source: 0, ...at }
  t.ok(isClose(noiseOf([input, conjugate]), Math.hypot(fresh, keySwitchingNoise(parameters, 2))))
  t.ok(isClose(noiseOf([input, timesI]), fresh))
})

t.test('a complex addend adds half of the variance to each part', async (t) => {
  const addPlain = (constant: number): Op => ({ kind: 'addPlain', source: 0, constant, ...at })
  t.ok(isClose(noiseOf([input, addPlain(0)]), Math.hypot(fresh, encodingNoise(64))))
  t.ok(isClose(noiseOf([input, addPlain(1)]), Math.hypot(fresh, encodingNoise(64) / Math.SQRT2)))
})

t.test('the error of a shared conjugation enters each tensor that reads it', async (t) => {
  const ops: Op[] = [
    input,
    { kind: 'conjugate', source: 0, ...at },
    { kind: 'timesI', source: 1, ...at },
    { kind: 'add', left: 1, right: 2, ...at },
    { kind: 'add', left: 1, right: 2, ...at },
  ]
  const switching = keySwitchingNoise(parameters, 2)
  t.ok(isClose(noiseOf(ops, [0, 1, 1, 1, 2]), Math.SQRT2 * switching))
})
