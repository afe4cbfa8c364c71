import { fileURLToPath } from 'node:url'
import t from 'tap'
import { readCircuit, writeCircuit } from '../../src/circuit/index.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { networkGraph } from '../../src/compiler/graph/build.ts'
import { compile } from '../../src/compiler/index.ts'
import { flushTinyWeights } from '../../src/compiler/passes/flush-tiny-weights.ts'
import { loadNetwork, readCheckpoint, referenceForward } from '../../src/models/index.ts'
import { goldenFile } from '../models/support/golden.ts'
import { clearLogits, difference, golden, maxDifference } from './harness.ts'
import { image, PRUNINGS, prunedNetwork } from './pruned-network.ts'

for (const pruning of PRUNINGS) {
  t.test(`zero: ${pruning.name}`, async (t) => {
    const network = prunedNetwork(pruning)
    const { circuit } = compile(network, {
      model: 'x',
      preprocessing: network.config.preprocessing,
      calibration: [image],
      refresh: 'client',
      rings: [8192],
      precisionBits: 5,
    })
    verifyCircuit(readCircuit(writeCircuit(circuit)))
    const expected = referenceForward(network, image)
    const exact = maxDifference(clearLogits(circuit, image, 'none'), expected)
    t.ok(exact < circuit.estimate.logitError, `exact: ${exact} of ${circuit.estimate.logitError}`)
    const noisy = maxDifference(clearLogits(circuit, image, 'model'), expected)
    t.ok(noisy < 4 * circuit.estimate.logitError, `with errors: ${noisy}`)
  })
}

/** Layers of the golden networks of the other families, whose weights are all zero. */
const SWITCHED_OFF = {
  micro_monet: [/^network\.0\.model\.0\.0\..*norm1\.gamma_c/, /U1\.weight/],
  micro_dttn: [/^network\.0\.model\.0\.0\.norm1\.(weight|bias)/, /L1\.weight/],
  micro_attn: [/v_conv/, /norm\.gamma$/],
}

for (const [name, layers] of Object.entries(SWITCHED_OFF)) {
  for (const layer of layers) {
    t.test(`zero: ${name}, ${layer.source}`, async (t) => {
      const { network, images } = await golden(name)
      const checkpoint = new Map(await readCheckpoint(fileURLToPath(goldenFile(`${name}.pt`))))
      const zeroed = [...checkpoint].filter(([key]) => layer.test(key))
      t.ok(zeroed.length > 0)
      for (const [key, { shape, data }] of zeroed) checkpoint.set(key, { shape, data: data.map(() => 0) })
      const pruned = loadNetwork(checkpoint, network.config)
      const { circuit } = compile(pruned, {
        model: 'x',
        preprocessing: network.config.preprocessing,
        calibration: images.slice(0, 2),
        refresh: 'client',
        rings: [8192],
        precisionBits: 6,
      })
      verifyCircuit(readCircuit(writeCircuit(circuit)))
      const exact = maxDifference(
        clearLogits(circuit, images[0], 'none'),
        referenceForward(pruned, images[0]),
      )
      t.ok(exact < circuit.estimate.logitError, `exact: ${exact} of ${circuit.estimate.logitError}`)
    })
  }
}

t.test('tiny weights stay where a later layer multiplies by as much', async (t) => {
  const { network, images } = await golden('micro_t')
  const graph = networkGraph(network)
  t.equal(flushTinyWeights(graph, images[0]), graph, 'there are none')
  const scaled = (name: RegExp, factorOf: (index: number, length: number) => number) => ({
    ...graph,
    nodes: graph.nodes.map((node) =>
      node.kind === 'conv' && name.test(node.name)
        ? { ...node, weight: node.weight.map((w, i) => w * factorOf(i, node.weight.length)) }
        : node,
    ),
  })
  const decayed = scaled(/^cells\.0\.stack\.0\.conv\.coarse/, (i) => (i < 9 ? 1e-20 : 1))
  const flushed = flushTinyWeights(decayed, images[0])
  t.not(flushed, decayed)
  t.ok(difference(flushed, decayed, images[0]) < 1e-9)
  const all = scaled(/^cells\.0\.stack\.0\.conv\.in/, () => 1e-13)
  const back = {
    ...all,
    nodes: all.nodes.map((node) =>
      node.kind === 'conv' && /^cells\.0\.stack\.0\.conv\.coarse|fine/.test(node.name)
        ? { ...node, weight: node.weight.map((w) => w * 1e13) }
        : node,
    ),
  }
  t.equal(flushTinyWeights(back, images[0]), back)
})
