import { type CkksParameters, checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import type { Circuit, Op } from '../../src/circuit/types.ts'

const primes = nttPrimes(8192, [50, 40, 30, 60]).map(String)

/** Three levels, of 50, 40 and 30 bits. */
export const parameters: CkksParameters = checkParameters({
  ring: 8192,
  primes: primes.slice(0, 3),
  specialPrimes: primes.slice(3),
})

const [, , q2] = parameters.primes.map(Number)

/** Scales of `smallCircuit`, as the laws give them. */
export const SCALE = {
  input: 2 ** 30,
  weighted: 2 ** 30 * 2 ** 20,
  rescaled: (2 ** 30 * 2 ** 20) / q2,
  product: ((2 ** 30 * 2 ** 20) / q2) ** 2,
}

/** The circuit with its constants in an array, for comparisons. Circuits from files hold them in columns. */
export const spelledOut = (circuit: Circuit): Circuit => ({ ...circuit, constants: [...circuit.constants] })

/** A circuit without outer products among its constants. */
export type PlainCircuit = Circuit & { readonly constants: readonly Float64Array[] }

/**
 * A circuit with every kind of operation. Two ciphertexts x and y hold a [3, 3, 5] tensor. The circuit
 * computes 2 z^2 + c2 with z = c0 * (rotate(x, 7) - x) + c1 * y + c0 * x, at level 0.
 */
export function smallCircuit(): PlainCircuit {
  const at = (level: number, scale: number, layer = 0) => ({ level, scale, layer })
  const ops: Op[] = [
    { kind: 'input', index: 0, ...at(2, SCALE.input) },
    { kind: 'input', index: 1, ...at(2, SCALE.input) },
    { kind: 'rotate', source: 0, steps: 7, ...at(2, SCALE.input) },
    { kind: 'subtract', left: 2, right: 0, ...at(2, SCALE.input) },
    {
      kind: 'dot',
      terms: [
        { value: 3, constant: 0 },
        { value: 1, constant: 1 },
        { value: 0, constant: 0 },
      ],
      constantScale: 2 ** 20,
      ...at(2, SCALE.weighted),
    },
    { kind: 'rescale', source: 4, ...at(1, SCALE.rescaled) },
    { kind: 'multiply', left: 5, right: 5, ...at(1, SCALE.product, 1) },
    { kind: 'relinearise', source: 6, ...at(1, SCALE.product, 1) },
    { kind: 'addPlain', source: 7, constant: 2, ...at(1, SCALE.product, 1) },
    { kind: 'add', left: 8, right: 7, ...at(1, SCALE.product, 1) },
    { kind: 'dropLevel', source: 9, ...at(0, SCALE.product, 1) },
  ]
  return {
    model: 'small',
    labels: ['left', 'right', 'neither'],
    parameters,
    batch: 1,
    input: {
      preprocessing: {
        channels: 'rgb',
        resize: { mode: 'squash', height: 3, width: 5 },
        interpolation: 'bicubic',
        mean: [0.5, 0.25, 0.125],
        std: [0.5, 0.25, 0.125],
      },
      image: [3, 3, 5],
      patch: 1,
      layout: {
        channels: 3,
        height: 3,
        width: 5,
        interleave: 2,
        parts: 2,
        channelsPerCiphertext: 2,
        rowStride: 7,
        columnStride: 1,
        offset: 8,
        ciphertexts: 2,
      },
      level: 2,
      scale: SCALE.input,
      bound: 8,
    },
    output: {
      classes: 3,
      period: 4,
      level: 0,
      scale: SCALE.product,
      bound: 100,
      tolerance: 0.5,
      flooding: 0.001,
      precision: 2 ** -5,
    },
    layers: [
      {
        name: 'stem',
        kind: 'convolution',
        shape: [3, 3, 5],
        precisionBits: 14.5,
        logitBits: 15.5,
        slotsUsed: 0.01,
        seconds: 0.5,
      },
      {
        name: 'cells.0',
        kind: 'product',
        shape: [3, 3, 5],
        precisionBits: 12.25,
        logitBits: 13,
        slotsUsed: 0.01,
        seconds: 0.5,
      },
    ],
    constants: [
      Float64Array.of(0.75, -1.5),
      Float64Array.of(0.3),
      Float64Array.from({ length: 4096 }, (_, i) => Math.sin(i + 1)),
    ],
    ops,
    result: 10,
    estimate: {
      logitError: 0.0004,
      isMeasured: true,
      seconds: 0.5,
      precisionBits: 12,
      memoryBytes: 1e6,
      bytes: { keys: 3e6, query: 4e5, refreshUp: 0, refreshDown: 0, response: 1e5 },
    },
  }
}

/**
 * A circuit on complex slots: c0 * conj(x) + c1 * i y + c2 * rotate(x, 7), rescaled, plus c3. All constants
 * but c2 are complex; c1 is an outer product.
 */
export function complexCircuit(): Circuit {
  const small = smallCircuit()
  const at = (level: number, scale: number) => ({ level, scale, layer: 0 })
  const top = at(2, SCALE.input)
  const terms = [2, 3, 4].map((value, constant) => ({ value, constant }))
  const ops: Op[] = [
    { kind: 'input', index: 0, ...top },
    { kind: 'input', index: 1, ...top },
    { kind: 'conjugate', source: 0, ...top },
    { kind: 'timesI', source: 1, ...top },
    { kind: 'rotate', source: 0, steps: 7, ...top },
    { kind: 'dot', terms, constantScale: 2 ** 20, ...at(2, SCALE.weighted) },
    { kind: 'rescale', source: 5, ...at(1, SCALE.rescaled) },
    { kind: 'addPlain', source: 6, constant: 3, ...at(1, SCALE.rescaled) },
  ]
  const numbers = (length: number, salt: number): Float64Array =>
    Float64Array.from({ length }, (_, i) => Math.sin(i * i + salt))
  const complex = (length: number) => ({ real: numbers(length, 1), imaginary: numbers(length, 2) })
  return {
    ...small,
    model: 'complex',
    ops,
    result: 7,
    constants: [complex(4), { fine: complex(8), coarse: numbers(16, 3) }, numbers(2, 4), complex(4096)],
    output: { ...small.output, level: 1, scale: SCALE.rescaled },
  }
}

/**
 * The same circuit with an answer that has another logit in every slot. No slot is masked, so tests can check
 * all of them.
 */
export const withEverySlot = (circuit: Circuit): Circuit => ({
  ...circuit,
  output: { ...circuit.output, period: circuit.parameters.slots / circuit.batch },
})
