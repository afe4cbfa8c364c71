import t from 'tap'
import { randomWeights } from '../../bench/parts/random-network/weights.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { compile } from '../../src/compiler/index.ts'
import { dttnConfig, loadNetwork, monetConfig, referenceForward } from '../../src/models/index.ts'
import { numbers } from '../models/support/checkpoint.ts'
import { deviation } from '../models/support/golden.ts'
import { clearLogits, maxDifference } from './harness.ts'

// Networks of families in stages at low resolution: the two first convolutions have kernels of 1.

const SIDE = 8
const FIELDS = {
  layers: [1, 1],
  stemKernel: 1,
  classes: 4,
  inputSize: { height: SIDE, width: SIDE },
  preprocessing: undefined,
} as const

const NETWORKS = {
  monet: monetConfig({ ...FIELDS, dims: [8, 16], expansion: 2, norm: 'position', normBias: true }),
  dttn: dttnConfig({ ...FIELDS, dims: [6, 8], scale: 2, transitions: [false, true], form: 'branches' }),
}

for (const [name, config] of Object.entries(NETWORKS)) {
  t.test(`${name} with a stem of kernels of 1`, async (t) => {
    const { geometry } = config
    t.strictSame(
      geometry.map(({ height, width }) => [height, width]),
      [
        [SIDE, SIDE],
        [SIDE / 2, SIDE / 2],
      ],
    )
    const network = loadNetwork(randomWeights(config, 1), config)
    const image = Float64Array.from({ length: 3 * SIDE ** 2 }, numbers(2))
    const expected = referenceForward(network, image)
    const { circuit } = compile(network, { model: name, preprocessing: null, calibration: [image] })
    verifyCircuit(circuit)
    t.equal(circuit.input.patch, 1)
    t.notOk(
      circuit.layers.some((layer) => layer.name === 'fs'),
      'the two first convolutions are one layer',
    )
    t.ok(maxDifference(clearLogits(circuit, image, 'none'), expected) < 1e-4, 'exact')
    const error = maxDifference(clearLogits(circuit, image, 'model'), expected)
    t.ok(error > 0 && error < 0.02 * deviation(expected), `with the noise model: ${error}`)
  })
}
