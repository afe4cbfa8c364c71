import { compile, type PlanReport } from '../src/compiler/index.ts'
import { ARCHITECTURES, architecture, loadNetwork } from '../src/models/index.ts'
import { type Benchmark, check, figure } from './harness.ts'
import { randomWeights } from './parts/random-network/weights.ts'

const CLASSES = 10
const PRECISION_BITS = 8
const SEED = 1

/**
 * Plans of all published architectures with random weights, for all rings, without calibration images. The
 * memory of the process grows from network to network, so that of one is measured with `--only`.
 */
export const plans: Benchmark = {
  name: 'plans',
  what: 'seconds to plan and lower each published architecture; --only names some, separated by commas',
  async run(say, { only }) {
    const names = only?.split(',') ?? Object.keys(ARCHITECTURES)
    const networks = names.map((name) => {
      const row = planned(name)
      say(`${name}: ${row.seconds} s`)
      return row
    })
    return { precisionBits: PRECISION_BITS, networks }
  },
}

function planned(name: string) {
  const config = architecture(name, { classes: CLASSES })
  const network = loadNetwork(randomWeights(config, SEED), config)
  const before = process.cpuUsage()
  const start = performance.now()
  const { plan } = compile(network, {
    model: name,
    preprocessing: config.preprocessing ?? null,
    precisionBits: PRECISION_BITS,
  })
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(before)
  checkPlan(name, plan)
  const { ring, rounds, ops, refreshDepth } = plan
  return {
    name,
    seconds: figure(seconds),
    coreSeconds: figure((user + system) / 1e6),
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    ring,
    rounds: rounds.length,
    refreshedCiphertexts: ops.refresh,
    refreshDepth,
    plannedCoreSeconds: figure(plan.seconds),
  }
}

function checkPlan(name: string, { precisionBits, rounds }: PlanReport): void {
  check(precisionBits >= PRECISION_BITS, `the plan of ${name} has the requested precision (${precisionBits})`)
  check(rounds.length > 0, `the plan of ${name} has refreshes`)
}
