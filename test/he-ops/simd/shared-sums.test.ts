import fc from 'fast-check'
import t from 'tap'
import { emitSums } from '../../../src/he-ops/simd/operations/sums.ts'
import type { Sum, Summand } from '../../../src/he-ops/simd/operations/weighted-sum.ts'
import { PROGRAM_KERNELS, type ProgramKernel } from '../../../src/he-ops/simd/program/program.ts'
import { linkProgram, runProgram } from '../../../src/he-ops/simd/threads/run.ts'
import { limbsOf, polynomialBytes, type Value } from '../../../src/he-ops/simd/values/values.ts'
import { generator, requireEqual } from '../kernels/fixture.ts'
import { smallParameters } from '../seal/fixture.ts'
import { newSimdContext } from './fixture.ts'

// Sums in one call are compared with each sum in a call of its own, which the kernel `dot` computes.

const parameters = smallParameters([30, 29, 28], 30, 27)
const { ring } = parameters
const context = await newSimdContext(parameters)
const { heap, limbBytes, moduli } = context
const PRIMES = 2
const special = parameters.specialPrimes.length

function newValue(extended: boolean): Value {
  const bytes = polynomialBytes(context, PRIMES, extended)
  return { polynomials: [heap.allocate(bytes), heap.allocate(bytes)], primes: PRIMES, extended }
}

function fill(address: number, words: number, extended: boolean, seed: number): void {
  const random = generator(seed)
  limbsOf(context, PRIMES, extended).forEach((index, place) => {
    const residues = heap.words(address + 4 * words * place, words)
    for (let r = 0; r < words; r++) residues[r] = random(moduli[index].q)
  })
}

/** Inputs by whether they are extended, and for each sum the inputs that it reads. */
interface Shape {
  readonly inputs: readonly boolean[]
  readonly reads: readonly (readonly number[])[]
  readonly shift: number
}

function sumsOf({ inputs, reads, shift }: Shape): { readonly sums: Sum[]; free(): void } {
  const values = inputs.map(newValue)
  values.forEach(({ polynomials, extended }, i) => {
    polynomials.forEach((address, p) => {
      fill(address, ring, extended, 2 * i + p)
    })
  })
  const weights: number[] = []
  const sums = reads.map((own, s): Sum => {
    const terms = own.map((i): Summand => {
      const address = heap.allocate((4 * ring * (PRIMES + special)) >> shift)
      fill(address, ring >> shift, values[i].extended, 100 * s + i)
      weights.push(address)
      return { value: values[i], weights: address, specialWeights: address, shift }
    })
    return { out: newValue(inputs.some(Boolean)), terms }
  })
  const polynomials = [...values, ...sums.map(({ out }) => out)].flatMap((value) => value.polynomials)
  return {
    sums,
    free() {
      for (const address of [...polynomials, ...weights]) heap.free(address)
    },
  }
}

/** Runs sums. @returns calls by kernel, and the residues of all results */
function run(sums: readonly Sum[]) {
  const linked = linkProgram(context, 1, limbBytes, (builder) => emitSums(builder, context, sums))
  runProgram(linked.program, context)
  const calls = new Map<ProgramKernel, number>()
  const { words } = linked.program
  for (let at = 0; at < words.length; ) {
    const kernel = PROGRAM_KERNELS[words[at]]
    calls.set(kernel, (calls.get(kernel) ?? 0) + 1)
    at += 1 + context.kernels[kernel].length
  }
  linked.free()
  const results = sums.flatMap(({ out: { polynomials, extended } }) =>
    polynomials.map((address) => heap.words(address, polynomialBytes(context, PRIMES, extended) / 4).slice()),
  )
  return { calls, results }
}

function requireSame(shape: Shape): ReturnType<typeof run>['calls'] {
  const { sums, free } = sumsOf(shape)
  const alone = sums.flatMap((sum) => run([sum]).results)
  const { calls, results } = run(sums)
  free()
  results.forEach((result, i) => {
    requireEqual(result, alone[i], `result ${i}`)
  })
  return calls
}

const all = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

t.test('sums of the same ciphertexts take one call for each range of residues and limb', async (t) => {
  const calls = requireSame({ inputs: [true, true, true], reads: [all(3), all(3)], shift: 6 })
  t.strictSame([...calls], [['dotShared', Math.ceil(ring / 1024) * (PRIMES + special)]])
})

t.test('inputs that are not extended have no part modulo special primes', async (t) => {
  const calls = requireSame({ inputs: [true, false, true], reads: [all(3), [2, 1, 0], all(3)], shift: 6 })
  t.strictSame([...calls.keys()], ['dotShared'])
})

t.test('sums that lack few inputs multiply them by zero; of many, each sum has its own calls', async (t) => {
  const few = requireSame({ inputs: [false, false, false, false], reads: [all(4), all(3)], shift: 7 })
  t.strictSame([...few.keys()], ['dotShared'])
  const many = requireSame({ inputs: [false, false, false, false], reads: [all(4), [1]], shift: 7 })
  t.strictSame([...many.keys()], ['dot'])
})

t.test('weights for short blocks, repeated inputs and single sums have their own calls', async (t) => {
  for (const [reads, shift] of [
    [[all(2), all(2)], 5],
    [[[0, 1, 0], all(2)], 6],
    [[all(2)], 6],
  ] as const) {
    t.strictSame([...requireSame({ inputs: [false, false], reads, shift }).keys()], ['dot'])
  }
})

t.test('sums with more weights than one call gathers are divided', async (t) => {
  const most = 4096
  const inputs = all(8).map(() => false)
  const reads = all(most / 8 + 1).map(() => all(8))
  const calls = requireSame({ inputs, reads, shift: 6 })
  t.equal(calls.get('dotShared'), 2 * Math.ceil(ring / 1024) * PRIMES)
})

t.test('results do not depend on the way that sums are computed', async () => {
  const shapes = fc.record({
    inputs: fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }),
    shift: fc.constantFrom(4, 5, 6, 7),
  })
  const cases = shapes.chain(({ inputs, shift }) =>
    fc
      .array(fc.subarray(all(inputs.length), { minLength: 1 }), { minLength: 1, maxLength: 5 })
      .map((reads) => ({ inputs, reads, shift })),
  )
  fc.assert(
    fc.property(cases, (shape) => {
      requireSame(shape)
    }),
    { numRuns: 150, seed: 9 },
  )
})
