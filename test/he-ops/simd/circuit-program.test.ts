import fc from 'fast-check'
import t from 'tap'
import { periodOf } from '../../../src/circuit/constants/constant.ts'
import { largestModulus } from '../../../src/circuit/constants/slot-vector.ts'
import { checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import type { Circuit, ComplexVector, ValueId } from '../../../src/circuit/types.ts'
import { createClearEvaluator } from '../../../src/he-ops/clear/evaluator.ts'
import { execute } from '../../../src/he-ops/executor.ts'
import { compileCircuit } from '../../../src/he-ops/simd/circuit-program.ts'
import { ConstantStore } from '../../../src/he-ops/simd/constants/constant-store.ts'
import { piecesFor, runPiece } from '../../../src/he-ops/simd/program/program.ts'
import { PairLoader } from '../../../src/he-ops/simd/values/pair-loader.ts'
import { DOUBLE_BOUND, type ExpansionRule, INTEGER_BOUND } from '../../../src/schedule/constant-storage.ts'
import { extendedBasis } from '../../../src/schedule/extended-basis.ts'
import { NOTHING_FAR } from '../../../src/schedule/far-storage.ts'
import type { SeededRlwe } from '../../../src/wire/index.ts'
import { randomCircuit } from '../../conformance/random-circuit.ts'
import { CircuitBuilder } from './circuits.ts'
import { loadedFar, simdFixture } from './fixture.ts'

const STEPS = [1, 7, 2048, 4095]
const SCALE = 2 ** 26
const primes = nttPrimes(8192, [30, 30, 30, 30, 30, 30, 30]).map(String)
const parameters = checkParameters({ ring: 8192, primes: primes.slice(0, 5), specialPrimes: primes.slice(5) })
const fixture = await simdFixture(parameters, STEPS, { conjugation: true })
t.teardown(() => fixture.delete())
const { context, keys } = fixture
const farKeys = await loadedFar(fixture)
const { slots, ring } = parameters

const x = Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1))
const y = Float64Array.from({ length: slots }, (_, s) => Math.cos(5 * s) - 0.25)
/** Complex slots in place of `y`. */
const z = { real: y, imaginary: Float64Array.from({ length: slots }, (_, s) => Math.sin(s * s) / 2) }
const pairs = [x, z].map((values) => fixture.encrypt(values, parameters.topLevel, SCALE))

/**
 * Runs a circuit as a program with the pieces of each phase in reverse order; returns the result's residues.
 */
function run(
  circuit: Circuit,
  inputs: readonly SeededRlwe[],
  threads: number,
  isExpanded?: ExpansionRule,
  isFar = false,
): Uint32Array[] {
  const before = context.heap.used
  const farBefore = context.heap.far.used
  const storage = isFar ? { isFarKey: () => true, isFarWeight: () => true } : NOTHING_FAR
  const constants = new ConstantStore(context, circuit.constants, isExpanded, storage)
  const program = compileCircuit(context, circuit, isFar ? farKeys : keys, constants, threads)
  const loader = new PairLoader(context)
  program.inputs.forEach(({ polynomials }, i) => {
    loader.load(fixture.packed(inputs[i], parameters.topLevel), polynomials[0], polynomials[1])
  })
  for (let phase = 0; phase + 1 < program.program.phases.length; phase++) {
    for (let piece = piecesFor(threads) - 1; piece >= 0; piece--) {
      runPiece(program.program, context.kernels, phase, piece)
    }
  }
  const { polynomials, primes: count } = program.result
  const result = polynomials.map((polynomial) => context.heap.words(polynomial, ring * count).slice())
  loader.free()
  program.free()
  constants.free()
  // Galois tables and conversions belong to the context and stay.
  if (context.heap.used - before > 2 ** 20) throw new Error('memory leaked')
  if (context.heap.far.used !== farBefore) throw new Error('far memory leaked')
  return result
}

/**
 * @throws when the result differs from the clear one, or its bits depend on threads, on how constants are
 *   kept, or on which memory keys and weights are in
 */
function requireRight(circuit: Circuit, inputs: readonly SeededRlwe[]): void {
  const residues = run(circuit, inputs, 1)
  const { level, scale } = circuit.ops[circuit.result]
  const found = fixture.decryptComplex(residues, level, scale)
  const wanted = expected(circuit)
  const size = Math.max(1, largestModulus(wanted))
  const worst = wanted.real.reduce((most, v, s) => {
    return Math.max(most, Math.hypot(v - found.real[s], wanted.imaginary[s] - found.imaginary[s]))
  }, 0)
  if (!(worst < 0.1 * size)) throw new Error(`off by ${worst} of ${size}`)
  const requireSame = (again: Uint32Array[], what: string): void => {
    again.forEach((polynomial, p) => {
      if (!Buffer.from(polynomial.buffer).equals(Buffer.from(residues[p].buffer))) {
        throw new Error(`${what} gives other bits`)
      }
    })
  }
  for (const threads of [2, 3]) requireSame(run(circuit, inputs, threads), `Running ${threads} threads`)
  requireSame(run(circuit, inputs, 2, undefined, true), 'Far memory')
  const isLong = circuit.constants.map((constant) => periodOf(constant) >= 8)
  if (isLong.includes(true)) {
    long++
    // Constants are below 1.
    const bound = { weight: INTEGER_BOUND, addend: DOUBLE_BOUND }
    const expanded = run(circuit, inputs, 2, (id, scale, use) => isLong[id] && scale < bound[use])
    requireSame(expanded, 'Expanding constants when they are read')
    const far = run(circuit, inputs, 3, (id, scale, use) => isLong[id] && scale < bound[use], true)
    requireSame(far, 'Expanding constants of far memory')
  }
}

/** Circuits with constants of at least eight values. */
let long = 0

function expected(circuit: Circuit): ComplexVector {
  const clear = createClearEvaluator(circuit)
  const { level, scale } = circuit.input
  return clear.decrypt(
    execute(
      circuit,
      clear,
      [x, z].map((v) => clear.encrypt(v, level, scale)),
    ),
  )
}

t.test('random circuits: the clear result, the same bits for any number of threads', async (t) => {
  let extended = 0
  fc.assert(
    fc.property(randomCircuit(parameters, STEPS, SCALE), (circuit) => {
      extended += extendedBasis(circuit).staysInQP.reduce((sum, bit) => sum + bit, 0)
      requireRight(circuit, pairs)
    }),
    { numRuns: 250, seed: 20240612 },
  )
  t.ok(extended > 20, `${extended} values stayed in the extended basis`)
  t.ok(long > 20, `${long} circuits have constants of at least eight values`)
})

t.test('several primes divided by at once, with and without the special ones', async (t) => {
  const large = [x, z].map((values) => fixture.encrypt(values, parameters.topLevel, 2 ** 30))
  const bodies: readonly ((build: CircuitBuilder, a: ValueId, b: ValueId) => ValueId)[] = [
    (build, a, b) => build.rescale(build.rescale(build.dot([[build.add(a, b), 0]], 2 ** 60))),
    (build, a, b) => build.rescale(build.rescale(build.rescale(build.dot([[build.add(a, b), 1]], 2 ** 90)))),
    (build, a, b) => {
      const terms = [[build.rotate(a, 7), 0] as const, [b, 1] as const]
      return build.rescale(build.rescale(build.dot(terms, 2 ** 60)))
    },
    (build, a, b) => {
      const product = build.relinearise(build.multiply(a, b))
      return build.rescale(build.rescale(build.dot([[product, 1]], 2 ** 30)))
    },
  ]
  for (const body of bodies) {
    const build = new CircuitBuilder(parameters)
    body(build, build.input(), build.input())
    const circuit = build.finish([Float64Array.of(0.75), Float64Array.of(0.5, -1)])
    t.ok(extendedBasis(circuit).fusedRescale.includes(1))
    requireRight(circuit, large)
  }
})
