import type { Graph, Sensitivity, Shape } from '../graph/graph.ts'
import { rewrite } from '../graph/rewrite.ts'
import { nextPowerOfTwo } from './choose.ts'
import { reachOf, tapsOf } from './taps.ts'

/**
 * Puts a repacking behind strided convolutions whose outputs would fill fewer ciphertexts if they were packed anew. All
 * maps of one size are treated alike, since some of them are added to one another.
 *
 * @param slots that one image has in a ciphertext
 */
export function insertRepacks(graph: Graph, slots: number): Graph {
  const sizes = repackedSizes(graph, slots)
  return rewrite(graph, (node, { built }) => {
    if (node.kind !== 'conv' || node.stride === 1 || !sizes.has(sizeOf(node.shape))) return undefined
    const { name, shape, rms, sensitivity } = node
    const source = built.add(node)
    return built.add({
      kind: 'repack',
      name: `${name}.repack`,
      source,
      shape,
      rms,
      sensitivity: ofMasks(sensitivity),
    })
  })
}

/** A tensor's sensitivity, where the weights are masks for each of its elements. */
const ofMasks = (sensitivity: Sensitivity | undefined): Sensitivity | undefined =>
  sensitivity && { ...sensitivity, weights: 0, scattered: sensitivity.relative }

/** Sizes of maps that are repacked. */
function repackedSizes(graph: Graph, slots: number): Set<string> {
  const interleaves = new Map<string, number>()
  const repacked = new Set<string>()
  for (const node of graph.nodes) {
    if (node.kind === 'input') interleaves.set(sizeOf(node.shape), densest(node.shape, slots))
    if (node.kind !== 'conv' || node.stride === 1) continue
    const size = sizeOf(node.shape)
    const kept = interleaves.get(sizeOf(graph.nodes[node.source].shape))!
    const dense = densest(node.shape, slots)
    const [channels] = node.shape
    if (Math.ceil(channels / dense) < Math.ceil(channels / kept)) repacked.add(size)
    interleaves.set(size, repacked.has(size) ? dense : kept)
  }
  return repacked
}

const sizeOf = ([, height, width]: Shape): string => `${height} x ${width}`

/** Channels that one ciphertext can hold. */
const densest = ([, height, width]: Shape, slots: number): number => slots / nextPowerOfTwo(height * width)

/** Largest reach of the taps on maps of a size. */
export const reachAt = (graph: Graph, [, height, width]: Shape): number =>
  graph.nodes.reduce((reach, node) => {
    const isThere = node.kind === 'conv' && node.shape[1] === height && node.shape[2] === width
    return isThere ? Math.max(reach, reachOf(tapsOf(node))) : reach
  }, 0)
