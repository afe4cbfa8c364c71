import t from 'tap'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { type CompileOptions, compile } from '../../src/compiler/index.ts'
import {
  architecture,
  type CPolyNeXtConfig,
  type CPolyNeXtLiteral,
  cpolynextConfig,
  type DownsizeType,
  loadNetwork,
  type Network,
  referenceForward,
} from '../../src/models/index.ts'
import { numbers, syntheticCheckpoint } from '../models/support/checkpoint.ts'
import { clearLogits, maxDifference } from './harness.ts'

// Compares whole networks with the float reference: every kind of reduction on odd and oblong maps, with
// refreshes.

interface Case {
  readonly stem: CPolyNeXtLiteral['stem']
  readonly input: readonly [height: number, width: number]
  /** Reductions of both inputs of a cell. */
  readonly types: readonly [DownsizeType, DownsizeType]
  /** Types of the cells. */
  readonly maps: readonly (readonly [height: number, width: number])[]
}

const CASES: readonly Case[] = [
  {
    stem: 'imagenet',
    input: [60, 106],
    types: ['sep2x2', 'full2x2'],
    maps: [
      [15, 27],
      [7, 13],
      [3, 6],
    ],
  },
  {
    stem: 'imagenet',
    input: [76, 42],
    types: ['full3x3', 'sep3x3'],
    maps: [
      [19, 11],
      [10, 6],
      [5, 3],
    ],
  },
  {
    stem: 'lowres',
    input: [13, 22],
    types: ['sep3x3', 'full3x3'],
    maps: [
      [13, 22],
      [7, 11],
      [4, 6],
    ],
  },
  {
    stem: 'lowres',
    input: [23, 12],
    types: ['full2x2', 'sep2x2'],
    maps: [
      [23, 12],
      [11, 6],
      [5, 3],
    ],
  },
]

/** Deviation of the first image's logits, similar to trained networks. */
const LARGEST_LOGIT = 3

/** A network of distinct weights. The head is scaled so that the image has logits of the usual size. */
function networkOf({ stem, input: [height, width], types }: Case, image: Float64Array): Network {
  const config = cpolynextConfig({
    ...architecture('cpolynext-t'),
    stem,
    initChannels: 8,
    nodes: [2, 2, 2],
    downsizes: [1, 2],
    channelMultipliers: [2, 3],
    downsizeTypes: types,
    classes: 5,
    inputSize: { height, width },
    preprocessing: undefined,
  })
  const checkpoint = syntheticCheckpoint(config)
  const logits = referenceForward(loadNetwork(checkpoint, config), image)
  const factor = LARGEST_LOGIT / Math.max(...logits.map(Math.abs))
  for (const name of ['head.3.weight', 'head.3.bias']) {
    const { shape, data } = checkpoint.get(name)!
    checkpoint.set(name, { shape, data: data.map((x) => x * factor) })
  }
  return loadNetwork(checkpoint, config)
}

for (const one of CASES) {
  const { stem, input, types, maps } = one
  t.test(`${stem} stem, ${input.join(' x ')}, ${types.join(' and ')}`, async (t) => {
    const next = numbers(9)
    const image = Float64Array.from({ length: 3 * input[0] * input[1] }, next)
    // A network that was never trained diverges on images that differ too much from the calibration image.
    const images = [image, image.map((x) => 0.95 * x + 0.05 * next())]
    const network = networkOf(one, image)
    t.strictSame(
      (network.config as CPolyNeXtConfig).geometry.map(({ height, width }) => [height, width]),
      maps,
    )
    const { preprocessing } = network.config
    const options: CompileOptions = {
      model: 'x',
      preprocessing,
      calibration: images,
      refresh: 'client',
      rings: [8192],
      precisionBits: 7,
    }
    const { circuit, plan } = compile(network, options)
    verifyCircuit(circuit)
    t.ok(plan.rounds.length > 0)
    for (const image of images) {
      const expected = referenceForward(network, image)
      const size = Math.max(...expected.map(Math.abs))
      const exact = maxDifference(clearLogits(circuit, image, 'none'), expected)
      t.ok(exact < 1e-4 * size, `exact: ${exact} of ${size}`)
      const noisy = maxDifference(clearLogits(circuit, image, 'model'), expected)
      t.ok(noisy > 0 && noisy < 4 * circuit.estimate.logitError, `with errors: ${noisy}`)
    }
    t.ok(maxDifference(referenceForward(network, images[0]), referenceForward(network, images[1])) > 1e-3)
  })
}
