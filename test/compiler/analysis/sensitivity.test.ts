import t from 'tap'
import { backward } from '../../../src/compiler/analysis/backward.ts'
import { measureSensitivities } from '../../../src/compiler/analysis/sensitivity.ts'
import { estimateSensitivities } from '../../../src/compiler/analysis/sensitivity-prior.ts'
import { fold } from '../../../src/compiler/fold.ts'
import { networkGraph } from '../../../src/compiler/graph/build.ts'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import { type Graph, type Node, type NodeId, sensitivityOf } from '../../../src/compiler/graph/graph.ts'
import { deviation, rootMeanSquare } from '../../../src/compiler/graph/statistics.ts'
import { prepareInput } from '../../../src/compiler/prepare-input.ts'
import { seededGaussian } from '../../../src/he-ops/clear/gaussian.ts'
import { casesOf } from '../../support/thorough.ts'
import { golden } from '../harness.ts'

// Compares sensitivities with the change of the logits when a graph is evaluated with errors in its tensors
// and weights.

const STEP = 1e-5
const IMAGES = 4
/** Half as many find a third too little for the stem of micro_lr, where one image decides. */
const DRAWS = 48

const gaussian = seededGaussian(5)

async function folded(name: string): Promise<{ graph: Graph; images: Float64Array[] }> {
  const { network, images } = await golden(name)
  const prepared = prepareInput(networkGraph(network), network.config.preprocessing)
  return { graph: fold(prepared.graph), images: images.slice(0, IMAGES).map(prepared.pack) }
}

/** A graph with errors in a node's tensor, which a bias behind the node adds. All users read the bias. */
function withErrors(graph: Graph, id: NodeId, errors: (tensor: number) => Float64Array): Graph {
  const { shape } = graph.nodes[id]
  const moved = (operand: NodeId): NodeId => (operand < id ? operand : operand + 1)
  const nodes = graph.nodes.map((node, own): Node => (own <= id ? node : reading(node, moved)))
  const bias = errors(shape[0] * shape[1] * shape[2])
  nodes.splice(id + 1, 0, { kind: 'bias', name: 'errors', source: id, shape, bias })
  return { nodes, output: graph.output + 1 }
}

function reading(node: Node, moved: (operand: NodeId) => NodeId): Node {
  if (node.kind === 'input') return node
  if ('left' in node) return { ...node, left: moved(node.left), right: moved(node.right) }
  return { ...node, source: moved(node.source) }
}

const drawn = (length: number): Float64Array => Float64Array.from({ length }, () => STEP * gaussian())

/**
 * Root mean square, over images and draws, of the difference of a changed graph's logits, for errors of
 * deviation 1.
 */
function measured(graph: Graph, images: readonly Float64Array[], changed: () => Graph): number {
  const errors = images.flatMap((image) => {
    const exact = evaluate(graph, image)
    return Array.from({ length: DRAWS }, () =>
      rootMeanSquare(evaluate(changed(), image).map((x, k) => x - exact[k])),
    )
  })
  return rootMeanSquare(errors) / STEP
}

type Checks = { ok(value: boolean, what: string): void }

const isNear = (t: Checks, found: number, expected: number, what: string): void => {
  t.ok(found < 1.6 * expected && found > expected / 1.6, `${what}: ${found}, by the analysis ${expected}`)
}

/** Some nodes from all parts of the graph. */
const some = (graph: Graph, is: (node: Node) => boolean, count: number): NodeId[] => {
  const ids = graph.nodes.flatMap((node, id) => (is(node) ? [id] : []))
  return Array.from({ length: count }, (_, i) => ids[Math.floor((i * ids.length) / count)])
}

const ALL = [
  'one_shot',
  'micro_lr',
  'micro_t',
  'micro_monet',
  'micro_dttn',
  'micro_dttn_product',
  'micro_attn',
]

for (const name of casesOf(ALL, ['one_shot', 'micro_t', 'micro_monet', 'micro_dttn', 'micro_attn'])) {
  t.test(`${name}: errors in tensors and in weights`, async (t) => {
    const { graph, images } = await folded(name)
    const analysed = measureSensitivities(graph, images)
    for (const id of some(graph, ({ kind }) => kind !== 'head', 5)) {
      const found = measured(graph, images, () => withErrors(graph, id, drawn))
      isNear(t, found, sensitivityOf(analysed.nodes[id]).tensor, graph.nodes[id].name)
    }
    const isConv = (node: Node): boolean => node.kind === 'conv' && node.position === undefined
    for (const id of some(graph, isConv, 4)) {
      const found = measured(graph, images, () => {
        const nodes = graph.nodes.slice()
        const node = nodes[id] as Extract<Node, { kind: 'conv' }>
        nodes[id] = { ...node, weight: node.weight.map((w) => w + STEP * gaussian()) }
        return { ...graph, nodes }
      })
      isNear(t, found, sensitivityOf(analysed.nodes[id]).weights, `weights of ${graph.nodes[id].name}`)
    }
    const head = graph.nodes[graph.output] as Extract<Node, { kind: 'head' }>
    const [, height, width] = graph.nodes[head.source].shape
    const found = measured(graph, images, () => {
      const nodes = graph.nodes.slice()
      // The head's weights are divided by the number of positions before they are encoded.
      nodes[graph.output] = {
        ...head,
        weight: head.weight.map((w) => w + height * width * STEP * gaussian()),
      }
      return { ...graph, nodes }
    })
    isNear(t, found, sensitivityOf(analysed.nodes[graph.output]).weights, 'weights of the head')
  })

  t.test(`${name}: errors relative to a tensor, of scales at every position`, async (t) => {
    const { graph, images } = await folded(name)
    const analysed = measureSensitivities(graph, images)
    const isScale = ({ kind }: Node): boolean => kind === 'diagonal'
    for (const id of some(graph, isScale, 2)) {
      const node = graph.nodes[id] as Extract<Node, { kind: 'diagonal' }>
      const found = images.flatMap((image) => {
        const tensors: Float64Array[] = []
        const exact = evaluate(graph, image, (at, tensor) => {
          tensors[at] = tensor
        })
        return Array.from({ length: DRAWS }, () => {
          const errors = tensors[node.source].map((x) => x * STEP * gaussian())
          const logits = evaluate(
            withErrors(graph, id, () => errors),
            image,
          )
          return rootMeanSquare(logits.map((x, k) => x - exact[k])) / STEP
        })
      })
      // A part of the error is common to all channels, because of coefficients that are rounded to zero.
      const { scattered } = sensitivityOf(analysed.nodes[id])
      const own = rootMeanSquare(found)
      t.ok(own < 1.3 * scattered && own > scattered / 4, `${node.name}: ${own}, by the analysis ${scattered}`)
    }
  })
}

t.test("the logits' deviation is that of all images together, even if they differ much", async (t) => {
  const { graph, images } = await folded('micro_t')
  const faint = images.map((image, k) => image.map((x) => x * 0.5 ** k))
  const deviations = faint.map((image) => deviation(evaluate(graph, image)))
  const { network } = await golden('micro_t')
  const prepared = prepareInput(networkGraph(network), network.config.preprocessing)
  const { nodes, output } = fold(prepared.graph, faint)
  const expected = deviations.reduce((product, own) => product * own ** (1 / faint.length), 1)
  t.ok(Math.abs(nodes[output].rms! / expected - 1) < 1e-6, `${nodes[output].rms}, of ${deviations}`)
})

t.test('gradients agree with finite differences', async (t) => {
  const { graph, images } = await folded('micro_t')
  const tensors: Float64Array[] = []
  const exact = evaluate(graph, images[0], (id, tensor) => {
    tensors[id] = tensor
  })
  const cotangent = exact.map((_, k) => Math.sin(k + 1))
  const value = (logits: Float64Array): number => logits.reduce((sum, x, k) => sum + x * cotangent[k], 0)
  const gradients: Float64Array[] = []
  backward(graph, tensors, cotangent, (id, gradient) => {
    gradients[id] = gradient
  })
  t.equal(gradients.length, graph.nodes.length, 'one gradient for each tensor')
  for (const id of some(graph, ({ kind }) => kind !== 'head', 8)) {
    const direction = drawn(tensors[id].length)
    const along = (sign: number) =>
      value(
        evaluate(
          withErrors(graph, id, () => direction.map((x) => sign * x)),
          images[0],
        ),
      )
    const expected = (along(1) - along(-1)) / 2
    const found = gradients[id].reduce((sum, g, i) => sum + g * direction[i], 0)
    t.ok(
      Math.abs(found - expected) < 1e-4 * Math.abs(expected) + 1e-12,
      `${graph.nodes[id].name}: ${found}, ${expected}`,
    )
  }
})

t.test('without images, every node has an estimate that depends on the weights only', async (t) => {
  const { graph } = await folded('micro_t')
  const estimated = estimateSensitivities(graph)
  for (const node of estimated.nodes) {
    const { tensor, weights } = sensitivityOf(node)
    t.ok(tensor > 0 && Number.isFinite(tensor), node.name)
    if (node.kind === 'conv' || node.kind === 'head') t.ok(weights > 0 && Number.isFinite(weights), node.name)
  }
  t.equal(estimated.nodes[graph.output].rms, undefined, 'nothing is known of the logits')
})
