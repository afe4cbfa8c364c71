import { galoisElement, rotationElements, wholeKeys } from '../../src/circuit/keys.ts'
import { checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import {
  ciphertextFromWire,
  createSealContext,
  createSealEvaluator,
  decryptSlots,
  encryptSlots,
  generateSecretKey,
  loadKeySet,
  loadSeal,
} from '../../src/he-ops/index.ts'
import { createKernelMemory, instantiateKernels } from '../../src/he-ops/kernels/kernels.ts'
import { ConstantStore } from '../../src/he-ops/simd/constants/constant-store.ts'
import { createSimdContext } from '../../src/he-ops/simd/index.ts'
import { SimdKeySet } from '../../src/he-ops/simd/keys/key-set.ts'
import { KeyWindow } from '../../src/he-ops/simd/keys/key-window.ts'
import { Heap } from '../../src/he-ops/simd/memory/heap.ts'
import { emitDivisions } from '../../src/he-ops/simd/operations/divide.ts'
import { emitDots } from '../../src/he-ops/simd/operations/dot.ts'
import { emitRelinearisations, emitRotations } from '../../src/he-ops/simd/operations/key-switch.ts'
import type { ProgramBuilder } from '../../src/he-ops/simd/program/program.ts'
import { linkProgram, runProgram } from '../../src/he-ops/simd/threads/run.ts'
import type { Value } from '../../src/he-ops/simd/values/values.ts'
import { bytesSource, levelShape, openKeySet } from '../../src/wire/index.ts'
import { packedRlwe, rlweBytes, writeRlwe } from '../../src/wire/rlwe.ts'
import { clientKeySet } from '../../test/support/client-key-set.ts'
import { createSimdEvaluator } from '../../test/support/simd-evaluator.ts'
import { check, figure, medianSeconds } from '../harness.ts'

const RING = 8192
const ROTATIONS = Array.from({ length: 15 }, (_, i) => i + 1)
const CHANNELS = 48
const SCALE = 2 ** 28
const WEIGHT_SCALE = 2 ** 12

/**
 * Operations of the simd backend and of node-seal, with one thread and the same keys, ciphertexts and
 * parameters. Results are compared first.
 */
export async function compareOperations() {
  const bench = await setUp()
  const rows = [bench.rotations(), bench.weightedRotations(), bench.relinearisation(), bench.pointwise()]
  return { ring: RING, primeBits: '6 x 30 + 30', rows }
}

async function setUp() {
  const primes = nttPrimes(RING, new Array(7).fill(30)).map(String)
  const parameters = checkParameters({
    ring: RING,
    primes: primes.slice(0, 6),
    specialPrimes: primes.slice(6),
  })
  const { slots, topLevel } = parameters
  const ctx = createSealContext(await loadSeal(), parameters)
  const secretKey = generateSecretKey(ctx)
  const elements = rotationElements(parameters, ROTATIONS)
  const chunks: Uint8Array[] = []
  for await (const chunk of clientKeySet(ctx, secretKey, elements)) chunks.push(chunk)
  const source = bytesSource(Buffer.concat(chunks))
  const memory = createKernelMemory()
  const context = createSimdContext(await instantiateKernels(memory), new Heap(memory), parameters)
  const sealKeys = await loadKeySet(ctx, source, elements)
  const simdKeys = new SimdKeySet(context)
  await simdKeys.load(await openKeySet(parameters, source), wholeKeys(parameters, elements))
  const constants = Array.from({ length: CHANNELS * CHANNELS }, (_, i) => Float64Array.of(Math.sin(i + 1)))
  const seal = createSealEvaluator(ctx, sealKeys, { constants })
  const simd = createSimdEvaluator(context, simdKeys, { constants })

  const encrypt = (seed: number) => {
    const values = Float64Array.from({ length: slots }, (_, s) => Math.sin(seed + s))
    const [pair] = encryptSlots(ctx, secretKey, [values], topLevel, SCALE)
    const shape = levelShape(parameters, topLevel)
    const bytes = new Uint8Array(rlweBytes(shape, true))
    writeRlwe(shape, pair, bytes)
    return {
      values,
      seal: ciphertextFromWire(ctx, pair, topLevel, SCALE),
      simd: simd.load(packedRlwe(shape, bytes), topLevel, SCALE),
    }
  }
  const a = encrypt(1)

  /** The slots of a value in kernel memory. */
  const decrypt = ({ polynomials }: Value, scale: number): Float64Array => {
    const [c0, c1] = polynomials.map((polynomial) => {
      const halves = new Uint32Array(2 * RING * (topLevel + 1))
      context.heap.words(polynomial, RING * (topLevel + 1)).forEach((residue, i) => {
        halves[2 * i] = residue
      })
      return halves
    })
    return decryptSlots(ctx, secretKey, [{ c0, c1 }], topLevel, scale)[0].real
  }

  const value = (primeCount: number, extended: boolean): Value => {
    const bytes = context.limbBytes * (primeCount + (extended ? 1 : 0))
    return {
      polynomials: [context.heap.allocate(bytes), context.heap.allocate(bytes)],
      primes: primeCount,
      extended,
    }
  }
  const program = (emit: (builder: ProgramBuilder) => void): (() => void) => {
    const linked = linkProgram(context, 1, context.limbBytes, emit)
    return () => runProgram(linked.program, context)
  }
  const row = (what: string, simdSeconds: number, sealSeconds: number) => ({
    what,
    simdMilliseconds: figure(simdSeconds * 1e3),
    sealMilliseconds: figure(sealSeconds * 1e3),
    ratio: figure(sealSeconds / simdSeconds),
  })
  const close = (found: Float64Array, expected: (s: number) => number, tolerance: number): boolean =>
    found.every((slot, s) => Math.abs(slot - expected(s)) < tolerance)

  return {
    rotations() {
      const work = ROTATIONS.map((steps) => ({
        source: a.simd.value,
        element: galoisElement(RING, steps),
        key: simdKeys.galoisKeys.get(galoisElement(RING, steps))!,
        out: value(6, true),
      }))
      const outs = work.map(() => value(6, false))
      const run = program((builder) => {
        emitRotations(builder, context, work, new KeyWindow(builder, context, []))
        emitDivisions(
          builder,
          context,
          work.map(({ out }, i) => ({ from: out, out: outs[i] })),
        )
      })
      run()
      ROTATIONS.forEach((steps, i) => {
        const rotated = (s: number) => a.values[(s + steps) % slots]
        check(close(decrypt(outs[i], SCALE), rotated, 0.02), `rotation by ${steps}`)
      })
      const simdSeconds = medianSeconds(20, run) / ROTATIONS.length
      const sealSeconds = medianSeconds(5, () => seal.rotate(a.seal, 3).delete())
      return row('one of 15 hoisted rotations', simdSeconds, sealSeconds)
    },

    /** Rotations as circuits use them: weighted, summed in the extended basis, and divided once. */
    weightedRotations() {
      const work = ROTATIONS.map((steps) => ({
        source: a.simd.value,
        element: galoisElement(RING, steps),
        key: simdKeys.galoisKeys.get(galoisElement(RING, steps))!,
        out: value(6, true),
      }))
      const store = new ConstantStore(context, constants)
      const terms = work.map(({ out }, i) => ({ value: out, constant: i }))
      const sum = value(6, true)
      const out = value(6, false)
      const run = program((builder) => {
        emitRotations(builder, context, work, new KeyWindow(builder, context, []))
        emitDots(builder, context, store, [{ terms, constantScale: WEIGHT_SCALE, out: sum }])
        emitDivisions(builder, context, [{ from: sum, out }])
      })
      run()
      const expected = (s: number) =>
        ROTATIONS.reduce((total, steps, i) => total + constants[i][0] * a.values[(s + steps) % slots], 0)
      check(close(decrypt(out, SCALE * WEIGHT_SCALE), expected, 0.02), 'weighted sum of rotations')
      const simdSeconds = medianSeconds(20, run) / ROTATIONS.length
      const sealSeconds =
        medianSeconds(3, () => {
          const rotated = ROTATIONS.map((steps) => seal.rotate(a.seal, steps))
          seal
            .dot(
              rotated.map((ciphertext, constant) => ({ ciphertext, constant })),
              WEIGHT_SCALE,
            )
            .delete()
          for (const ciphertext of rotated) ciphertext.delete()
        }) / ROTATIONS.length
      return row('one of 15 hoisted rotations, weighted and summed, divided once', simdSeconds, sealSeconds)
    },

    relinearisation() {
      const product = simd.multiply(a.simd, a.simd)
      const sealProduct = seal.multiply(a.seal, a.seal)
      const extended = value(6, true)
      const out = value(6, false)
      const run = program((builder) => {
        emitRelinearisations(builder, context, [
          { source: product.value, key: simdKeys.relinKey, out: extended },
        ])
        emitDivisions(builder, context, [{ from: extended, out }])
      })
      run()
      check(
        close(decrypt(out, SCALE ** 2), (s) => a.values[s] ** 2, 0.02),
        'relinearisation',
      )
      const simdSeconds = medianSeconds(40, run)
      const sealSeconds = medianSeconds(5, () => seal.relinearise(sealProduct).delete())
      return row('relinearise', simdSeconds, sealSeconds)
    },

    pointwise() {
      const inputs = Array.from({ length: CHANNELS }, (_, i) => encrypt(i))
      const store = new ConstantStore(context, constants)
      const terms = (out: number) => inputs.map((_, i) => out * CHANNELS + i)
      const work = Array.from({ length: CHANNELS }, (_, out) => ({
        terms: terms(out).map((constant, i) => ({ value: inputs[i].simd.value, constant })),
        constantScale: WEIGHT_SCALE,
        out: value(6, false),
      }))
      const run = program((builder) => emitDots(builder, context, store, work))
      run()
      for (const out of [0, 17, CHANNELS - 1]) {
        const sum = (s: number) =>
          terms(out).reduce((total, constant, i) => total + constants[constant][0] * inputs[i].values[s], 0)
        check(close(decrypt(work[out].out, SCALE * WEIGHT_SCALE), sum, 0.05), `output ${out}`)
      }
      const simdSeconds = medianSeconds(10, run)
      // Only three outputs are timed, because node-seal takes seconds for all of them.
      const some = work
        .slice(0, 3)
        .map((_, out) => terms(out).map((constant, i) => ({ ciphertext: inputs[i].seal, constant })))
      const sealSeconds =
        medianSeconds(3, () => {
          for (const dot of some) seal.dot(dot, WEIGHT_SCALE).delete()
        }) *
        (CHANNELS / some.length)
      return row('pointwise layer, 48 to 48 ciphertexts', simdSeconds, sealSeconds)
    },
  }
}
