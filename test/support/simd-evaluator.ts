import { conjugationElement, galoisElement } from '../../src/circuit/keys.ts'
import { type CiphertextType, typeLaws } from '../../src/circuit/laws.ts'
import { digitCount, digitSize } from '../../src/circuit/parameters/parameters.ts'
import type { Circuit } from '../../src/circuit/types.ts'
import { PolyVeilError } from '../../src/errors/index.ts'
import { type Evaluator, noClient } from '../../src/he-ops/backend.ts'
import { ConstantStore } from '../../src/he-ops/simd/constants/constant-store.ts'
import type { SimdContext } from '../../src/he-ops/simd/context.ts'
import type { SimdKeys } from '../../src/he-ops/simd/keys/key-set.ts'
import { KeyWindow } from '../../src/he-ops/simd/keys/key-window.ts'
import type { SwitchingKey } from '../../src/he-ops/simd/keys/switching-key.ts'
import { type Division, emitDivisions } from '../../src/he-ops/simd/operations/divide.ts'
import { emitDots } from '../../src/he-ops/simd/operations/dot.ts'
import {
  emitBinaries,
  emitPlainSums,
  emitProducts,
  emitTimesI,
} from '../../src/he-ops/simd/operations/elementwise.ts'
import { emitRelinearisations, emitRotations } from '../../src/he-ops/simd/operations/key-switch.ts'
import { emitRaises } from '../../src/he-ops/simd/operations/raise.ts'
import type { ProgramBuilder } from '../../src/he-ops/simd/program/program.ts'
import { linkProgram, runProgram } from '../../src/he-ops/simd/threads/run.ts'
import { PairLoader } from '../../src/he-ops/simd/values/pair-loader.ts'
import { polynomialBytes, type Value } from '../../src/he-ops/simd/values/values.ts'
import { type PackedRlwe, raiseKeysMissing } from '../../src/wire/index.ts'
import { emitExactRotation } from './exact-rotation.ts'

/** A ciphertext on the heap of a context, in NTT form, with its level and scale. */
export interface SimdCiphertext extends CiphertextType {
  readonly value: Value
}

export type SimdEvaluator = Evaluator<SimdCiphertext> & {
  /**
   * Loads a fresh encryption, which the caller frees.
   *
   * @param pair over the primes q_0 .. q_level; not changed
   * @throws TENSOR_MALFORMED when a residue is not below its prime
   */
  load(pair: PackedRlwe, level: number, scale: number): SimdCiphertext
  /** Copies of the polynomials' residues in NTT form, prime after prime, N words for each. */
  residues(a: SimdCiphertext): Uint32Array[]
  /** Number of ciphertexts that are not freed. */
  readonly live: number
  /** Frees constants and tools; neither keys nor ciphertexts. */
  delete(): void
}

/**
 * The parts of the simd engine as an evaluator: one operation at a time on one thread, for conformance tests
 * and for comparisons with node-seal. With one special prime every result is node-seal's bit for bit.
 *
 * Operands are unchanged and the caller frees results; an operation that throws leaves no memory behind.
 *
 * @param keys owned by the caller; undefined for circuits without rotations and products
 * @param circuit whose constants are encoded at their first use, and kept until `delete`
 * @throws from operations: errors of `typeLaws`, KEYS_MISSING, TOO_LARGE, INTERNAL for a freed ciphertext
 */
export function createSimdEvaluator(
  context: SimdContext,
  keys: SimdKeys | undefined,
  circuit: Pick<Circuit, 'constants'>,
): SimdEvaluator {
  const { parameters, heap, limbBytes, ring } = context
  const laws = typeLaws(parameters)
  const constants = new ConstantStore(context, circuit.constants)
  const loader = new PairLoader(context)
  const alive = new Set<SimdCiphertext>()
  const scratchBytes = limbBytes * (1 + digitCount(parameters))

  const use = (a: SimdCiphertext): SimdCiphertext => {
    if (!alive.has(a)) throw new PolyVeilError('INTERNAL', 'A freed ciphertext is used')
    return a
  }

  const allocate = (type: CiphertextType): SimdCiphertext => {
    const primes = type.level + 1
    const bytes = polynomialBytes(context, primes, false)
    const polynomials = Array.from({ length: type.polynomials }, () => heap.allocate(bytes))
    const made = { ...type, value: { polynomials, primes, extended: false } }
    alive.add(made)
    return made
  }

  const free = (a: SimdCiphertext): void => {
    use(a)
    alive.delete(a)
    for (const polynomial of a.value.polynomials) heap.free(polynomial)
  }

  /** Makes a ciphertext; frees it again when `fill` throws. */
  const make = (type: CiphertextType, fill: (out: Value) => void): SimdCiphertext => {
    const out = allocate(type)
    try {
      fill(out.value)
      return out
    } catch (error) {
      free(out)
      throw error
    }
  }

  const run = (emit: (builder: ProgramBuilder) => void): void => {
    const linked = linkProgram(context, 1, scratchBytes, emit)
    try {
      runProgram(linked.program, context)
    } finally {
      linked.free()
    }
  }

  const copyPolynomial = (to: number, from: number, primes: number): void => {
    for (let place = 0; place < primes; place++) {
      context.call('copy', { out: to + place * limbBytes, a: from + place * limbBytes, size: ring })
    }
  }

  const combine = (kind: 'add' | 'subtract', a: SimdCiphertext, b: SimdCiphertext): SimdCiphertext =>
    make(laws.add(use(a), use(b)), (out) =>
      run((builder) => emitBinaries(builder, context, [{ kind, left: a.value, right: b.value, out }])),
    )

  const keyFor = (element: number): SwitchingKey => {
    const key = keys?.galoisKeys.get(element)
    if (key !== undefined) return key
    throw new PolyVeilError('KEYS_MISSING', `There is no Galois key for element ${element}`, {
      galoisElements: [element],
    })
  }

  /** Applies the automorphism of a Galois element. */
  const moved = (type: CiphertextType, a: SimdCiphertext, element: number): SimdCiphertext => {
    const key = keyFor(element)
    const emitRotation = digitSize(parameters) === 1 ? emitExactRotation : emitHoisted
    return make(type, (out) =>
      switched(out, (builder, extended) =>
        emitRotation(builder, context, { source: a.value, element, key, out: extended }),
      ),
    )
  }

  /** Runs a key switch into an extended value, then divides by the special primes. */
  const switched = (out: Value, emit: (builder: ProgramBuilder, extended: Value) => void): void =>
    run((builder) => {
      const bytes = polynomialBytes(context, out.primes, true)
      const polynomials = [builder.allocate(bytes), builder.allocate(bytes)]
      const extended = { polynomials, primes: out.primes, extended: true }
      emit(builder, extended)
      emitDivisions(builder, context, [{ from: extended, out } satisfies Division])
      for (const polynomial of polynomials) builder.free(polynomial)
    })

  return {
    name: 'simd',
    get live() {
      return alive.size
    },
    levelOf: (a) => use(a).level,
    scaleOf: (a) => use(a).scale,

    load: (pair, level, scale) =>
      make(laws.input(level, scale), ({ polynomials }) => loader.load(pair, polynomials[0], polynomials[1])),

    residues: (a) =>
      use(a).value.polynomials.map((polynomial) => heap.words(polynomial, ring * (a.level + 1)).slice()),

    rotate: (a, steps) => moved(laws.rotate(use(a), steps), a, galoisElement(ring, steps)),
    conjugate: (a) => moved(laws.conjugate(use(a)), a, conjugationElement(ring)),

    timesI: (a) =>
      make(laws.timesI(use(a)), (out) =>
        run((builder) => emitTimesI(builder, context, [{ from: a.value, out }])),
      ),

    dot(terms, constantScale) {
      const type = laws.dot(
        terms.map(({ ciphertext }) => use(ciphertext)),
        constantScale,
      )
      const values = terms.map(({ ciphertext, constant }) => ({ value: ciphertext.value, constant }))
      return make(type, (out) =>
        run((builder) => emitDots(builder, context, constants, [{ terms: values, constantScale, out }])),
      )
    },

    addPlain(a, constant) {
      const type = laws.addPlain(use(a))
      return make(type, (out) => {
        const addend = constants.encoded(constant, type.scale, type.level + 1, 'addend')
        run((builder) => emitPlainSums(builder, context, [{ from: a.value, addend, out }]))
        copyPolynomial(out.polynomials[1], a.value.polynomials[1], out.primes)
      })
    },

    add: (a, b) => combine('add', a, b),
    subtract: (a, b) => combine('subtract', a, b),

    multiply: (a, b) =>
      make(laws.multiply(use(a), use(b)), (out) =>
        run((builder) => emitProducts(builder, context, [{ left: a.value, right: b.value, out }])),
      ),

    relinearise(a) {
      const type = laws.relinearise(use(a))
      const key = keys?.relinKey
      if (!key) throw new PolyVeilError('KEYS_MISSING', 'There is no relinearisation key')
      return make(type, (out) =>
        switched(out, (builder, extended) =>
          emitRelinearisations(builder, context, [{ source: a.value, key, out: extended }], 'positive'),
        ),
      )
    },

    rescale: (a) =>
      make(laws.rescale(use(a)), (out) =>
        run((builder) => emitDivisions(builder, context, [{ from: a.value, out }])),
      ),

    dropLevel: (a, level) =>
      make(laws.dropLevel(use(a), level), (out) => {
        out.polynomials.forEach((to, p) => {
          copyPolynomial(to, a.value.polynomials[p], out.primes)
        })
      }),

    refresh(a) {
      laws.refresh(use(a))
      throw noClient()
    },

    raise(a) {
      const type = laws.raise(use(a))
      if (!keys) throw raiseKeysMissing()
      const { raiseKeys } = keys
      return make(type, (out) =>
        switched(out, (builder, extended) =>
          emitRaises(builder, context, [{ source: a.value, keys: raiseKeys, out: extended }]),
        ),
      )
    },

    free,

    delete() {
      loader.free()
      constants.free()
    },
  }
}

const emitHoisted = (
  builder: ProgramBuilder,
  context: SimdContext,
  rotation: Parameters<typeof emitExactRotation>[2],
): void => emitRotations(builder, context, [rotation], new KeyWindow(builder, context, []))
