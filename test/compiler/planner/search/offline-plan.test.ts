import t from 'tap'
import { type Compiled, type CompileOptions, compile } from '../../../../src/compiler/index.ts'
import type { PolyVeilError } from '../../../../src/errors/index.ts'
import { golden } from '../../harness.ts'

// Plans in one shot for clients that are offline. test/compiler/restored.test.ts has a network that is too
// deep for one shot.

const compiler = async (name: string) => {
  const { network } = await golden(name)
  const { preprocessing } = network.config
  return (options: Partial<CompileOptions>): Compiled =>
    compile(network, { model: name, preprocessing, precisionBits: 8, offlineClient: true, ...options })
}
const shallow = await compiler('one_shot')
const deep = await compiler('micro_t')

t.test('one shot is taken where it fits, and the plan says why', async (t) => {
  const { circuit, plan, ...more } = shallow({})
  t.equal(circuit.raise, undefined)
  t.equal(circuit.refresh, undefined, 'with a client that is online the plan has refreshes')
  t.equal(plan.ring, 16384)
  t.match(plan.why[0], /^one shot is taken, because it fits: .*--offline-client.* assumption of their own/)
  t.notOk('otherWay' in more)
  t.ok(shallow({ offlineClient: false }).circuit.refresh)
})

t.test('rings by name count for both ways', async (t) => {
  const { plan } = shallow({ rings: [8192, 65536] })
  t.equal(plan.ring, 65536)
  t.match(plan.why[0], /^one shot/)
})

t.test('batches and the engine seal have one shot', async (t) => {
  const two = shallow({ batch: 2 }).plan
  t.equal(two.batch, 2)
  t.match(two.why[0], /^one shot/)
  const free = shallow({ batch: 'auto' })
  t.ok(free.plan.batch > 1, `${free.plan.batch} images`)
  t.equal(free.circuit.refresh, undefined)
  t.match(shallow({ target: 'seal' }).plan.why[0], /^one shot/)
})

t.test('where one shot does not fit and the server cannot restore levels, the remedy says why', async (t) => {
  const cases: [typeof deep, Partial<CompileOptions>, RegExp][] = [
    [
      deep,
      { target: 'seal' },
      /engine seal cannot restore levels .*one shot is the only way.*\(--target simd/,
    ],
    [deep, { target: 'seal', batch: 'auto' }, /engine seal cannot restore levels/],
    [deep, { batch: 2 }, /and not of a batch of 2, so one shot is the only way.*\(--batch 1/],
    [shallow, { rings: [8192] }, /in the rings 32768 and 65536, and not in 8192, so .*\(--ring/],
  ]
  for (const [compiled, options, remedy] of cases) {
    const error = failureOf(() => compiled(options))
    t.equal(error.code, 'DEPTH_EXCEEDED')
    t.match(error.message, /modulus bits in one shot/)
    t.match(error.remedy, remedy)
    t.ok(Number(error.facts.missingBits) > 0)
  }
})

t.test('the other choices of who restores levels stay as they are', async (t) => {
  const { plan } = shallow({ refresh: 'never' })
  t.strictSame(plan, shallow({ refresh: 'never', offlineClient: false }).plan)
  t.ok(shallow({ refresh: 'server', rings: [32768] }).plan.restoration)
})

t.test('a plan whose server has no levels to restore says so', async (t) => {
  const { circuit, plan } = shallow({ refresh: 'server', rings: [65536] })
  t.notOk('restoration' in plan)
  t.equal(circuit.parameters.raiseLevel, undefined, 'clients make no keys of an ephemeral secret')
  t.match(plan.why[0], /^no levels are restored/)
  const oneShot = shallow({ refresh: 'never', rings: [65536] })
  t.equal(circuit.parameters.primes.length, oneShot.circuit.parameters.primes.length, 'nor keys for them')
})

function failureOf(action: () => unknown): PolyVeilError {
  try {
    action()
  } catch (error) {
    return error as PolyVeilError
  }
  throw new Error('nothing was thrown')
}
