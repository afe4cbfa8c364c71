import t from 'tap'
import { randomWeights } from '../../bench/parts/random-network/weights.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { compile } from '../../src/compiler/index.ts'
import { cpolynextConfig, loadNetwork, referenceForward } from '../../src/models/index.ts'
import { deviation } from '../models/support/golden.ts'
import { casesOf } from '../support/thorough.ts'
import { clearLogits, distinct, maxDifference } from './harness.ts'

// A network of two cells with two heads of attention on a map of 3 x 5 positions, in one shot and with
// refreshes, on the clear backend.

const config = cpolynextConfig({
  stem: 'lowres',
  initChannels: 8,
  nodes: [2, 2],
  downsizes: [0, 1],
  channelMultipliers: [1, 9],
  expansionConv: [1, 1, 1],
  expansionMlp: [1, 1, 0.5],
  pairedScale: false,
  sigmoidScales: 2,
  downsizeTypes: ['full3x3', 'full3x3'],
  attention: true,
  classes: 5,
  inputSize: { height: 11, width: 20 },
})
const network = loadNetwork(randomWeights(config, 1), config)
const images = [1, 2].map((seed) => distinct(3 * 11 * 20, seed))

const WITH_REFRESHES = ['client', 8192] as const

for (const [refresh, ring] of casesOf([['never', 32768] as const, WITH_REFRESHES], [WITH_REFRESHES])) {
  t.test(`two heads on 3 x 5 positions, refreshes ${refresh}`, async (t) => {
    const { circuit, plan } = compile(network, {
      model: 'heads',
      preprocessing: null,
      refresh,
      precisionBits: 6,
      rings: [ring],
      calibration: images,
    })
    verifyCircuit(circuit)
    t.equal(plan.ops.refresh > 0, refresh === 'client')
    for (const image of images) {
      const expected = referenceForward(network, image)
      t.ok(maxDifference(clearLogits(circuit, image, 'none'), expected) < 1e-6)
      const error = maxDifference(clearLogits(circuit, image, 'model'), expected)
      t.ok(error > 0 && error < 0.02 * deviation(expected), `${error} of ${deviation(expected)}`)
    }
  })
}
