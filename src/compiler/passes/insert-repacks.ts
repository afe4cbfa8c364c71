import type { Graph, Node, NodeId, Sensitivity, Shape } from '../graph/graph.ts'
import { rewrite } from '../graph/rewrite.ts'
import { nextPowerOfTwo } from '../packing/choose.ts'
import { reachOf, tapsOf } from '../packing/taps.ts'

/**
 * Inserts a repack node behind strided convolutions whose outputs fill fewer ciphertexts after repacking. All
 * maps of one size are repacked or none is, because some of them are added to one another. A mask behind a
 * repack node is removed, since repacking masks.
 *
 * @param slots that one image has in a ciphertext
 */
export function insertRepacks(graph: Graph, slots: number): Graph {
  const sizes = repackedSizes(graph, slots)
  return rewrite(graph, (node, { built }) => {
    if (node.kind === 'diagonal' && node.isMask && isRepacked(built.nodes, node.source)) return node.source
    const merged = node.kind === 'conv' && node.stride > 1 ? sizes.get(sizeOf(node.shape)) : undefined
    if (merged === undefined) return undefined
    const { name, shape, rms, sensitivity } = node
    const source = built.add(node)
    return built.add({
      kind: 'repack',
      name: `${name}.repack`,
      source,
      shape,
      merged,
      rms,
      sensitivity: repackSensitivity(sensitivity, merged),
    })
  })
}

/** Whether a tensor comes from a repacking, which masks, through biases. */
function isRepacked(nodes: readonly Node[], id: NodeId): boolean {
  const node = nodes[id]
  return node.kind === 'repack' || (node.kind === 'bias' && isRepacked(nodes, node.source))
}

/**
 * The sensitivity of a repack node, whose weights are masks. The elements that masks read from other channels
 * are assumed to count as much as those of the node's own channel.
 */
const repackSensitivity = (sensitivity: Sensitivity | undefined, merged: number): Sensitivity | undefined =>
  sensitivity && { ...sensitivity, weights: 0, scattered: sensitivity.moved * Math.sqrt(merged) }

/** The number of ciphertexts that become one, by the size of the maps that are repacked. */
function repackedSizes(graph: Graph, slots: number): Map<string, number> {
  const interleaves = new Map<string, number>()
  const repacked = new Map<string, number>()
  for (const node of graph.nodes) {
    if (node.kind === 'input') interleaves.set(sizeOf(node.shape), densest(node.shape, slots))
    if (node.kind !== 'conv' || node.stride === 1) continue
    const size = sizeOf(node.shape)
    const kept = interleaves.get(sizeOf(graph.nodes[node.source].shape))!
    const dense = densest(node.shape, slots)
    const [channels] = node.shape
    const before = Math.ceil(channels / kept)
    if (Math.ceil(channels / dense) < before) repacked.set(size, Math.min(dense / kept, before))
    interleaves.set(size, repacked.has(size) ? dense : kept)
  }
  return repacked
}

const sizeOf = ([, height, width]: Shape): string => `${height} x ${width}`

/** Number of channels that one ciphertext can hold. */
const densest = ([, height, width]: Shape, slots: number): number => slots / nextPowerOfTwo(height * width)

/** Largest reach of the taps of convolutions whose output has the size of `shape`. */
export const reachAt = (graph: Graph, [, height, width]: Shape): number =>
  graph.nodes.reduce((reach, node) => {
    const isThere = node.kind === 'conv' && node.shape[1] === height && node.shape[2] === width
    return isThere ? Math.max(reach, reachOf(tapsOf(node))) : reach
  }, 0)
