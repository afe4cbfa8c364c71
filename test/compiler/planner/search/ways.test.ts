import t from 'tap'
import { type CompileOptions, compile } from '../../../../src/compiler/index.ts'
import { golden } from '../../harness.ts'

const { network } = await golden('one_shot')
const { preprocessing } = network.config
const compiled = (options: Partial<CompileOptions>) =>
  compile(network, { model: 'one', preprocessing, ...options })

t.test('auto takes the way that costs less for the objective', async (t) => {
  t.ok(compiled({ objective: 'latency' }).plan.rounds.length > 0)
  t.ok(compiled({ objective: 'keys' }).plan.rounds.length > 0)
  t.equal(compiled({ objective: 'traffic' }).plan.rounds.length, 0)
  const slow = { roundTripMs: 2000, megabitsPerSecond: 5 }
  t.equal(compiled({ link: slow }).plan.rounds.length, 0, 'rounds wait for a slow link')
})

t.test('the other way has the figures of its own plan', async (t) => {
  const near = (a: number, b: number): boolean => Math.abs(a / b - 1) < 0.05
  // Where the network fits between two refreshes, the plan with refreshes would have none.
  const slow = { link: { roundTripMs: 50, megabitsPerSecond: 50 }, rings: [8192, 16384] }
  for (const options of [{}, slow]) {
    const { plan, otherWay } = compiled(options)
    t.equal(otherWay!.refreshes, plan.rounds.length === 0)
    const refresh = otherWay!.refreshes ? 'client' : 'never'
    const { plan: other } = compiled({ ...options, refresh })
    const { keys, query, refreshUp, refreshDown } = other.bytes
    t.equal(otherWay!.ring, other.ring)
    t.ok(near(otherWay!.seconds, other.seconds), `${otherWay!.seconds} and ${other.seconds} s`)
    t.ok(near(otherWay!.keyBytes, keys), `${otherWay!.keyBytes} and ${keys} bytes of keys`)
    const traffic = query + refreshUp + refreshDown
    t.ok(near(otherWay!.trafficBytes, traffic), `${otherWay!.trafficBytes} and ${traffic} bytes`)
    t.equal(otherWay!.refreshSeconds > 0, otherWay!.refreshes)
  }
})

t.test('there is no other way where it is not allowed, does not fit, or is not for the engine', async (t) => {
  for (const refresh of ['never', 'client'] as const) t.notOk('otherWay' in compiled({ refresh }), refresh)
  t.notOk('otherWay' in compiled({ target: 'seal' }))
  t.notOk('otherWay' in compiled({ rings: [8192] }), 'one shot does not fit the ring')
})

t.test('where no circuit of a ring is as precise as its draft, the next ring is tried', async (t) => {
  // The drafts of this network at this precision fit ring 16384, and none of their circuits is precise
  // enough.
  const { network, images } = await golden('micro_dttn')
  const options = { model: 'one', preprocessing: network.config.preprocessing, precisionBits: 9 }
  const { circuit } = compile(network, { ...options, calibration: images.slice(0, 2), refresh: 'never' })
  t.ok(circuit.estimate.precisionBits >= 9)
  t.equal(circuit.parameters.ring, 32768)
})
