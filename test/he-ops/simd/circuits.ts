import { type CiphertextType, typeLaws } from '../../../src/circuit/laws.ts'
import { type CkksParameters, checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import { raiseBound } from '../../../src/circuit/raise.ts'
import type { Circuit, Constant, Op, ValueId } from '../../../src/circuit/types.ts'
import { verifyCircuit } from '../../../src/circuit/verify.ts'
import { smallCircuit } from '../../circuit/circuits.ts'

/** Five data primes and two special primes of 30 bits: digits of two primes, the last digit short. */
export const parameters: CkksParameters = (() => {
  const primes = nttPrimes(8192, Array(7).fill(30)).map(String)
  return checkParameters({ ring: 8192, primes: primes.slice(0, 5), specialPrimes: primes.slice(5) })
})()

/** Builds circuits operation by operation; the laws give levels and scales. */
export class CircuitBuilder {
  readonly ops: Op[] = []
  readonly #parameters: CkksParameters
  readonly #laws: ReturnType<typeof typeLaws>
  readonly #types: CiphertextType[] = []

  constructor(chain: CkksParameters = parameters) {
    this.#parameters = chain
    this.#laws = typeLaws(chain)
  }

  input(scale = 2 ** 30): ValueId {
    const index = this.ops.filter(({ kind }) => kind === 'input').length
    return this.#push({ kind: 'input', index }, this.#laws.input(this.#parameters.topLevel, scale))
  }

  rotate(source: ValueId, steps: number): ValueId {
    return this.#push({ kind: 'rotate', source, steps }, this.#laws.rotate(this.#types[source], steps))
  }

  conjugate(source: ValueId): ValueId {
    return this.#push({ kind: 'conjugate', source }, this.#laws.conjugate(this.#types[source]))
  }

  timesI(source: ValueId): ValueId {
    return this.#push({ kind: 'timesI', source }, this.#laws.timesI(this.#types[source]))
  }

  /** @param terms value and constant of each */
  dot(terms: readonly (readonly [ValueId, number])[], constantScale = 2 ** 28): ValueId {
    const type = this.#laws.dot(
      terms.map(([value]) => this.#types[value]),
      constantScale,
    )
    const named = terms.map(([value, constant]) => ({ value, constant }))
    return this.#push({ kind: 'dot', terms: named, constantScale }, type)
  }

  addPlain(source: ValueId, constant: number): ValueId {
    return this.#push({ kind: 'addPlain', source, constant }, this.#laws.addPlain(this.#types[source]))
  }

  add(left: ValueId, right: ValueId): ValueId {
    return this.#push({ kind: 'add', left, right }, this.#laws.add(this.#types[left], this.#types[right]))
  }

  subtract(left: ValueId, right: ValueId): ValueId {
    return this.#push(
      { kind: 'subtract', left, right },
      this.#laws.add(this.#types[left], this.#types[right]),
    )
  }

  multiply(left: ValueId, right: ValueId): ValueId {
    return this.#push(
      { kind: 'multiply', left, right },
      this.#laws.multiply(this.#types[left], this.#types[right]),
    )
  }

  relinearise(source: ValueId): ValueId {
    return this.#push({ kind: 'relinearise', source }, this.#laws.relinearise(this.#types[source]))
  }

  rescale(source: ValueId): ValueId {
    return this.#push({ kind: 'rescale', source }, this.#laws.rescale(this.#types[source]))
  }

  raise(source: ValueId): ValueId {
    return this.#push({ kind: 'raise', source }, this.#laws.raise(this.#types[source]))
  }

  dropLevel(source: ValueId, level: number): ValueId {
    return this.#push({ kind: 'dropLevel', source }, this.#laws.dropLevel(this.#types[source], level))
  }

  /** A verified circuit whose result is the last value. */
  finish(constants: readonly Constant[]): Circuit {
    const base = smallCircuit()
    const result = this.ops.length - 1
    const ciphertexts = this.ops.filter(({ kind }) => kind === 'input').length
    const raised = this.ops.filter(({ kind }) => kind === 'raise').length
    const circuit: Circuit = {
      ...base,
      parameters: this.#parameters,
      constants,
      ops: this.ops,
      result,
      ...(raised > 0 && { raise: { bound: raiseBound(this.#parameters.ring, raised) } }),
      input: {
        ...base.input,
        layout: { ...base.input.layout, ciphertexts },
        level: this.ops[0].level,
        scale: this.ops[0].scale,
      },
      output: {
        ...base.output,
        level: this.ops[result].level,
        scale: this.ops[result].scale,
        // Every slot carries a logit, so that no slot is masked and tests can check all of them.
        period: this.#parameters.slots,
        flooding: 1e-4,
      },
    }
    verifyCircuit(circuit)
    return circuit
  }

  #push(op: object, type: CiphertextType): ValueId {
    this.#types.push(type)
    return this.ops.push({ ...op, level: type.level, scale: type.scale, layer: 0 } as Op) - 1
  }
}

/** Rotations of `smallSimdCircuit`. */
export const STEPS = [1, 7, 2048]

/**
 * A circuit with every kind of operation, on x and y: w = (z^2 + c3) * c0 + its rotation by 2048, with
 * z = c0 * rotate(x, 1) + c1 * rotate(x, 7) + c2 * (y - x); at level 1.
 */
export function smallSimdCircuit(): Circuit {
  const build = new CircuitBuilder()
  const x = build.input()
  const y = build.input()
  const difference = build.subtract(y, x)
  const terms = [
    [build.rotate(x, 1), 0],
    [build.rotate(x, 7), 1],
    [difference, 2],
  ] as const
  const z = build.rescale(build.dot(terms))
  const square = build.rescale(build.addPlain(build.relinearise(build.multiply(z, z)), 3))
  const w = build.dot([[square, 0]], 2 ** 20)
  build.dropLevel(build.add(w, build.rotate(w, 2048)), 1)
  return build.finish([
    Float64Array.of(0.75),
    Float64Array.from({ length: 64 }, (_, i) => Math.sin(i * i)),
    Float64Array.from({ length: 4096 }, (_, i) => Math.cos(i + 1)),
    Float64Array.of(0.5, -0.25),
  ])
}

/** Four or more primes of different sizes, a harder case for base extension. */
const refreshParameters: CkksParameters = (() => {
  const primes = nttPrimes(8192, [30, 30, 30, 29, 28, 30, 30]).map(String)
  return checkParameters({ ring: 8192, primes: primes.slice(0, 6), specialPrimes: primes.slice(6) })
})()

/**
 * A circuit of two refresh rounds: x, turned by 6 slots, and y are refreshed in round 0, their product in
 * round 1, each time from level 2. The result is twice the product's real part; the output allows copies of a
 * logit to differ.
 *
 * @param period after which the answer repeats; what does not repeat is masked
 * @param overlapping x and y go in rounds of their own, 0 and 1, of which neither needs the other; the
 *   product in round 2
 */
export function refreshedCircuit({ overlapping = false, period = 4 } = {}): Circuit {
  const apart = overlapping ? 1 : 0
  const base = smallCircuit()
  const { topLevel, primes } = refreshParameters
  const level = 2
  const scale = 2 ** 26
  const product = scale ** 2
  const rescaled = product / Number(primes[topLevel])
  const at = (atLevel: number, s = scale) => ({ level: atLevel, scale: s, layer: 0 })
  const ops: Op[] = [
    { kind: 'input', index: 0, ...at(topLevel) },
    { kind: 'input', index: 1, ...at(topLevel) },
    { kind: 'rotate', source: 0, steps: 6, ...at(topLevel) },
    { kind: 'dropLevel', source: 2, ...at(level) },
    { kind: 'dropLevel', source: 1, ...at(level) },
    { kind: 'refresh', source: 3, round: 0, ...at(topLevel) },
    { kind: 'refresh', source: 4, round: apart, ...at(topLevel) },
    { kind: 'multiply', left: 5, right: 6, ...at(topLevel, product) },
    { kind: 'relinearise', source: 7, ...at(topLevel, product) },
    { kind: 'rescale', source: 8, ...at(topLevel - 1, rescaled) },
    { kind: 'dropLevel', source: 9, ...at(level, rescaled) },
    { kind: 'refresh', source: 10, round: 1 + apart, ...at(topLevel, rescaled) },
    { kind: 'conjugate', source: 11, ...at(topLevel, rescaled) },
    { kind: 'add', left: 11, right: 12, ...at(topLevel, rescaled) },
  ]
  const result = ops.length - 1
  const circuit = {
    ...base,
    model: 'refreshed',
    parameters: refreshParameters,
    constants: [],
    layers: base.layers.slice(0, 1),
    ops,
    result,
    input: { ...base.input, level: topLevel, scale },
    output: {
      ...base.output,
      period,
      level: topLevel,
      scale: rescaled,
      flooding: 0,
      tolerance: 2 ** -5,
      precision: 2 ** -10,
    },
  }
  return { ...circuit, refresh: { level } }
}
