import fc from 'fast-check'
import t from 'tap'
import { conjugationElement, galoisElement } from '../../../src/circuit/keys.ts'
import { operandsOf } from '../../../src/circuit/operands.ts'
import type { Circuit, ValueId } from '../../../src/circuit/types.ts'
import { type CircuitProgram, compileCircuit } from '../../../src/he-ops/simd/circuit-program.ts'
import { ConstantStore } from '../../../src/he-ops/simd/constants/constant-store.ts'
import type { SimdKeys } from '../../../src/he-ops/simd/keys/key-set.ts'
import { PROGRAM_KERNELS, type ProgramKernel } from '../../../src/he-ops/simd/program/program.ts'
import { extendedBasis, rescaleSource } from '../../../src/schedule/extended-basis.ts'
import { randomCircuit } from '../../conformance/random-circuit.ts'
import { noKey } from '../../support/no-key.ts'
import { CircuitBuilder, parameters, STEPS, smallSimdCircuit } from './circuits.ts'
import { newSimdContext } from './fixture.ts'

const WEIGHTS = [Float64Array.of(0.5)]

/** The values whose mark is set. */
const marked = (marks: Uint8Array): ValueId[] => [...marks.keys()].filter((id) => marks[id] === 1)

/** Builds a circuit of two inputs, 0 and 1, and returns how its values are represented. */
function kept(body: (build: CircuitBuilder, x: ValueId, y: ValueId) => void) {
  const build = new CircuitBuilder()
  body(build, build.input(), build.input())
  const circuit = { ops: build.ops, result: build.ops.length - 1 }
  const { inQP, staysInQP, fusedRescale } = extendedBasis(circuit)
  return { computed: marked(inQP), staysInQP: marked(staysInQP), fusedRescale: marked(fusedRescale) }
}

t.test('weighted sums of rotations are formed in the extended basis and divided once', async (t) => {
  const found = kept((build, x, y) => {
    const dot = build.dot([
      [build.rotate(x, 1), 0],
      [build.rotate(x, 7), 0],
      [y, 0],
    ])
    build.rescale(dot)
  })
  t.strictSame(found, { computed: [2, 3, 4], staysInQP: [2, 3, 4], fusedRescale: [] })
})

t.test('sums and differences are formed in the extended basis, also of sums', async (t) => {
  const found = kept((build, x, y) => {
    const sum = build.add(build.rotate(x, 1), y)
    build.rescale(build.dot([[build.subtract(sum, build.rotate(y, 7)), 0]]))
  })
  t.strictSame(found, { computed: [2, 3, 4, 5, 6], staysInQP: [2, 3, 4, 5, 6], fusedRescale: [] })
})

t.test('conjugations and products with i are formed in the extended basis', async (t) => {
  const found = kept((build, x, y) => {
    const sum = build.add(build.timesI(build.conjugate(x)), build.timesI(y))
    build.rescale(build.dot([[sum, 0]]))
  })
  t.strictSame(found, { computed: [2, 3, 5, 6], staysInQP: [2, 3, 5, 6], fusedRescale: [] })
})

t.test('the result is divided', async (t) => {
  const found = kept((build, x, y) => {
    build.add(build.rotate(x, 1), y)
  })
  t.strictSame(found, { computed: [2, 3], staysInQP: [2], fusedRescale: [] })
})

t.test('one reader that needs a normal value divides it for all readers', async (t) => {
  for (const reader of [
    (build: CircuitBuilder, value: ValueId) => build.rotate(value, 7),
    (build: CircuitBuilder, value: ValueId) => build.addPlain(value, 0),
    (build: CircuitBuilder, value: ValueId) => build.multiply(value, value),
    (build: CircuitBuilder, value: ValueId) => build.dropLevel(value, 1),
    (build: CircuitBuilder, value: ValueId) => build.rescale(value),
  ]) {
    const found = kept((build, x) => {
      const rotated = build.rotate(x, 1)
      reader(build, rotated)
      build.dot([[rotated, 0]])
    })
    t.ok(found.computed.includes(2))
    t.notOk(found.staysInQP.includes(2))
  }
})

t.test('a lone rescale divides by its prime and by P at once, two do not', async (t) => {
  const one = kept((build, x, y) => {
    build.rescale(build.relinearise(build.multiply(x, y)))
  })
  t.strictSame(one, { computed: [3], staysInQP: [3], fusedRescale: [] })
  const two = kept((build, x, y) => {
    const product = build.relinearise(build.multiply(x, y))
    build.add(build.rescale(product), build.rescale(product))
  })
  t.strictSame(two, { computed: [3], staysInQP: [], fusedRescale: [] })
})

t.test('rescales that nobody reads but a rescale are skipped', async (t) => {
  const build = new CircuitBuilder()
  const x = build.input(2 ** 30)
  const product = build.relinearise(build.multiply(x, x))
  const dot = build.dot([[product, 0]], 2 ** 30)
  const first = build.rescale(dot)
  const second = build.rescale(first)
  const third = build.dropLevel(second, 1)
  const circuit = { ops: build.ops, result: third }
  const { fusedRescale, staysInQP } = extendedBasis(circuit)
  t.strictSame(marked(fusedRescale), [first])
  t.strictSame(marked(staysInQP), [product, dot], 'through the skipped one too')
  t.equal(rescaleSource(build.ops, fusedRescale, second), dot)
  t.equal(rescaleSource(build.ops, fusedRescale, dot), dot)
})

t.test('a rescale with another reader is made, and so is one that is the result', async (t) => {
  const shared = kept((build, x) => {
    const first = build.rescale(build.dot([[x, 0]], 2 ** 50))
    build.multiply(build.dropLevel(first, 2), build.rescale(first))
  })
  t.strictSame(shared.fusedRescale, [])
  const last = kept((build, x) => {
    build.rescale(build.rescale(build.dot([[x, 0]], 2 ** 60)))
  })
  t.strictSame(last.fusedRescale, [3], 'the last of a chain alone is made')
  const longer = kept((build, x) => {
    build.rescale(build.rescale(build.rescale(build.dot([[x, 0]], 2 ** 90))))
  })
  t.strictSame(longer.fusedRescale, [3, 4])
})

t.test('the small circuit, pinned', async (t) => {
  const circuit = smallSimdCircuit()
  const { inQP, staysInQP, fusedRescale, readers } = extendedBasis(circuit)
  t.strictSame(marked(inQP), [3, 4, 5, 8, 12, 13])
  t.strictSame(marked(staysInQP), [3, 4, 5, 12])
  t.strictSame(marked(fusedRescale), [])
  t.strictSame(readers[6], [7], 'a square reads its operand once')
  t.strictSame(readers[11], [12, 13])
})

/** Also at large scales, at which two rescales may follow each other. */
const circuits = fc.constantFrom(2 ** 26, 2 ** 45).chain((scale) => randomCircuit(parameters, STEPS, scale))

t.test('invariants of all circuits', async (t) => {
  let several = 0
  fc.assert(
    fc.property(circuits, ({ ops, result }) => {
      const { inQP, staysInQP: keeps, fusedRescale, readers } = extendedBasis({ ops, result })
      several += marked(fusedRescale).length
      ops.forEach((op, id) => {
        const switches = ['rotate', 'conjugate', 'relinearise'].includes(op.kind)
        const sums = ['dot', 'add', 'subtract', 'timesI'].includes(op.kind)
        const extended = operandsOf(op).some((operand) => keeps[operand] === 1)
        if (inQP[id] !== Number(switches || (sums && extended))) throw new Error(`computed: ${id}`)
        const kinds = readers[id].map((reader) => ops[reader].kind)
        const bears = kinds.every((kind) => ['dot', 'add', 'subtract', 'timesI', 'rescale'].includes(kind))
        if (keeps[id] === 1 && !(inQP[id] === 1 && bears && id !== result)) {
          throw new Error(`staysInQP: ${id}`)
        }
        if (
          fusedRescale[id] === 1 &&
          !(op.kind === 'rescale' && kinds.join() === 'rescale' && id !== result)
        ) {
          throw new Error(`fusedRescale: ${id}`)
        }
      })
    }),
    { numRuns: 500, seed: 18 },
  )
  t.ok(several > 0, `${several} rescales skipped`)
})

const context = await newSimdContext(parameters)

/** Keys at fictitious addresses: programs are counted here, not run. */
const nowhere: SimdKeys = {
  relinKey: noKey,
  raiseKeys: { down: noKey, up: noKey },
  galoisKeys: new Map(
    [...STEPS.map((steps) => galoisElement(parameters.ring, steps)), conjugationElement(parameters.ring)].map(
      (element) => [element, noKey],
    ),
  ),
}

/** How often each kernel is called. */
function callsOf({ program }: CircuitProgram): Partial<Record<ProgramKernel, number>> {
  const calls: Partial<Record<ProgramKernel, number>> = {}
  for (let at = 0; at < program.words.length; ) {
    const kernel = PROGRAM_KERNELS[program.words[at]]
    calls[kernel] = (calls[kernel] ?? 0) + 1
    at += 1 + context.kernels[kernel].length
  }
  return calls
}

function costOf(body: (build: CircuitBuilder, x: ValueId, y: ValueId) => void) {
  const build = new CircuitBuilder()
  body(build, build.input(), build.input())
  const circuit: Pick<Circuit, 'ops' | 'result'> = { ops: build.ops, result: build.ops.length - 1 }
  const constants = new ConstantStore(context, WEIGHTS)
  const program = compileCircuit(context, circuit, nowhere, constants, 1)
  const calls = callsOf(program)
  program.free()
  constants.free()
  return calls
}

// At level 4 of five data primes, two special ones: three digits, of 2, 2 and 1 primes. Decomposing takes 5
// inverse transforms, and 3 * 7 - 5 forward ones; a division of both polynomials takes 2 * (primes divided
// by) inverse transforms, and 2 * (primes left) forward ones, each followed by one subtractScale.

t.test('cost: a decomposition serves all rotations of a source, a division all of a sum', async (t) => {
  const sum = (rotations: readonly number[]) =>
    costOf((build, x) => {
      build.rescale(build.dot(rotations.map((steps) => [build.rotate(x, steps), 0])))
    })
  const one = sum([1])
  const three = sum([1, 7, 2048])
  for (const calls of [one, three]) {
    t.equal(calls.nttInverse, 5 + 2 * 3)
    t.equal(calls.nttForward, 16 + 2 * 4)
    t.equal(calls.subtractScale, 2 * 4)
  }
  t.equal(one.dotPermuted, 2 * 7)
  t.equal(three.dotPermuted, 3 * one.dotPermuted!)
})

t.test('cost: a decomposition serves rotations and the conjugation of a source', async (t) => {
  const calls = costOf((build, x) => {
    const terms = [build.rotate(x, 1), build.conjugate(x), build.rotate(x, 7)]
    build.rescale(build.dot(terms.map((value) => [value, 0])))
  })
  t.equal(calls.nttInverse, 5 + 2 * 3)
  t.equal(calls.nttForward, 16 + 2 * 4)
  t.equal(calls.dotPermuted, 3 * 2 * 7)
})

t.test('cost: a product with i passes twice over half of the residues of each limb', async (t) => {
  const calls = costOf((build, x) => build.timesI(x))
  t.strictSame(calls, { scale: 2 * 2 * 5 })
})

t.test('a conjugation without its key is refused', async (t) => {
  const build = new CircuitBuilder()
  build.conjugate(build.input())
  const circuit = { ops: build.ops, result: 1 }
  const constants = new ConstantStore(context, [])
  t.throws(() => compileCircuit(context, circuit, { ...nowhere, galoisKeys: new Map() }, constants, 1), {
    code: 'KEYS_MISSING',
    message: /conjugation/,
    facts: { galoisElements: [2 * 8192 - 1] },
  })
})

t.test('cost: two rescales divide once', async (t) => {
  const calls = costOf((build, x) => {
    build.rescale(build.rescale(build.dot([[x, 0]], 2 ** 60)))
  })
  t.equal(calls.nttInverse, 2 * 2)
  t.equal(calls.nttForward, 2 * 3)
  t.equal(calls.subtractScale, 2 * 3)
})

t.test('cost: a value that is read by a rotation is divided before', async (t) => {
  const calls = costOf((build, x) => {
    build.rotate(build.rotate(x, 1), 7)
  })
  t.equal(calls.nttInverse, 2 * (5 + 2 * 2))
  t.equal(calls.subtractScale, 2 * 2 * 5)
})
