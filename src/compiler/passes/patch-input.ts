import {
  type ConvNode,
  type Graph,
  GraphBuilder,
  operands,
  type Shape,
  withOperands,
} from '../graph/graph.ts'

/**
 * Turns the strided stem into a convolution of stride 1 on patches. The client turns each s x s patch of the
 * image into channels (`spaceToDepth`), so that no layer has to select every s-th position.
 *
 * @returns the graph on patches, and the patch size s; 1 when the graph is unchanged
 */
export function patchInput(graph: Graph): { graph: Graph; patch: number } {
  const stem = graph.nodes.find((node) => node.kind === 'conv' && graph.nodes[node.source].kind === 'input')
  if (stem?.kind !== 'conv' || stem.stride === 1) return { graph, patch: 1 }
  const s = stem.stride
  const built = new GraphBuilder()
  for (const node of graph.nodes) {
    if (node.kind === 'input') built.add({ ...node, shape: patchShape(node.shape, s) })
    else if (node === stem) built.add(onPatches(stem, graph.nodes[stem.source].shape[0]))
    else built.add(withOperands(node, operands(node)))
  }
  return { graph: built.finish(graph.output), patch: s }
}

const patchShape = ([c, h, w]: Shape, s: number): Shape => [c * s * s, Math.ceil(h / s), Math.ceil(w / s)]

/** Pixel y * s + (k - padding) is row (k - padding) mod s of patch y + floor((k - padding) / s). */
function onPatches(stem: ConvNode, inputs: number): ConvNode {
  const s = stem.stride
  const before = Math.ceil(stem.padding / s)
  const after = Math.floor((stem.kernel - 1 - stem.padding) / s)
  const kernel = before + after + 1
  const weight = new Float64Array(stem.shape[0] * inputs * s * s * kernel * kernel)
  const split = (k: number) => {
    const patch = Math.floor((k - stem.padding) / s)
    return { tap: patch + before, phase: k - stem.padding - patch * s }
  }
  stem.weight.forEach((value, index) => {
    const x = split(index % stem.kernel)
    const y = split(Math.floor(index / stem.kernel) % stem.kernel)
    const plane = Math.floor(index / stem.kernel ** 2)
    const channel = (plane * s + y.phase) * s + x.phase
    weight[(channel * kernel + y.tap) * kernel + x.tap] = value
  })
  return { ...stem, weight, kernel, stride: 1, padding: before, dilation: 1 }
}
