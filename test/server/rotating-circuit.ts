import { manifestOf } from '../../src/circuit/manifest/manifest.ts'
import { type CkksParameters, checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import type { Circuit, Op } from '../../src/circuit/types.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { simdMemory } from '../../src/schedule/memory.ts'
import { smallCircuit, withEverySlot } from '../circuit/circuits.ts'
import type { KnownCircuit } from './sealed-client.ts'

const RING = 8192
const primes = nttPrimes(RING, [30, 30, 30, 30]).map(String)

/** Parameters for the simd engine: three data primes and one special prime. */
export const simdParameters: CkksParameters = checkParameters({
  ring: RING,
  primes: primes.slice(0, 3),
  specialPrimes: primes.slice(3),
})

const CONSTANTS = [Float64Array.of(0.5, -0.25), Float64Array.of(0.75)]

/**
 * A circuit whose memory is mostly keys. It computes the sum of `rotations` rotations of x, weighted by c0,
 * and c1 * y. The key of each rotation has 0.8 MB.
 */
export function rotatingCircuit(model: string, rotations: number): KnownCircuit {
  const scale = 2 ** 28
  const constantScale = 2 ** 20
  const q2 = Number(simdParameters.primes[2])
  const at = (level: number, scaled: number) => ({ level, scale: scaled, layer: 0 })
  const rotated = Array.from({ length: rotations }, (_, i): Op => {
    return { kind: 'rotate', source: 0, steps: i + 1, ...at(2, scale) }
  })
  const ops: Op[] = [
    { kind: 'input', index: 0, ...at(2, scale) },
    { kind: 'input', index: 1, ...at(2, scale) },
    ...rotated,
    {
      kind: 'dot',
      terms: [...rotated.map((_, i) => ({ value: 2 + i, constant: 0 })), { value: 1, constant: 1 }],
      constantScale,
      ...at(2, scale * constantScale),
    },
    { kind: 'rescale', source: 2 + rotations, ...at(1, (scale * constantScale) / q2) },
  ]
  const small = withEverySlot(smallCircuit())
  const draft: Circuit = {
    ...small,
    model,
    parameters: simdParameters,
    input: { ...small.input, level: 2, scale },
    output: { ...small.output, level: 1, scale: (scale * constantScale) / q2 },
    layers: small.layers.slice(0, 1),
    constants: CONSTANTS,
    ops,
    result: ops.length - 1,
  }
  const circuit = { ...draft, estimate: { ...draft.estimate, memoryBytes: simdMemory(draft) } }
  verifyCircuit(circuit)
  return {
    circuit,
    manifest: manifestOf(circuit),
    expected(x, y, s) {
      const [c0, c1] = CONSTANTS
      const sum = rotated.reduce((total, _, i) => total + x[(s + i + 1) % x.length], 0)
      return c0[s % 2] * sum + c1[0] * y[s]
    },
  }
}
