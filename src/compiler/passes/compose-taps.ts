import type { ConvNode, Graph, NodeOf, PositionedTap } from '../graph/graph.ts'
import { rewrite } from '../graph/rewrite.ts'
import { tapsOf } from '../packing/taps.ts'

/**
 * Composes a depthwise convolution with the taps before it, so that the constants of attention's rows take no
 * level. Norms that follow then find taps that hold their position scales (`gather-positions.ts`).
 */
export const composeTaps = (graph: Graph): Graph =>
  rewrite(graph, (node, { built, old, usesOf }, id) => {
    const before = old.nodes[id]
    if (node.kind !== 'conv' || before.kind !== 'conv' || !isFilter(node)) return undefined
    const source = built.nodes[node.source]
    if (source.kind !== 'taps' || usesOf(before.source) !== 1) return undefined
    const { name, shape, rms } = node
    return built.add({ kind: 'taps', name, source: source.source, taps: composed(node, source), shape, rms })
  })

/** Whether a convolution has one filter for each channel, and keeps the map. */
const isFilter = ({ groups, shape, stride, position }: ConvNode): boolean =>
  groups === shape[0] && groups > 1 && stride === 1 && position === undefined

/** Each tap of the convolution reads each of the taps at its own position; beyond the map it reads 0. */
function composed(conv: ConvNode, { taps }: NodeOf<'taps'>): PositionedTap[] {
  const { kernel, weight } = conv
  const [, height, width] = conv.shape
  return tapsOf(conv).flatMap(({ ky, kx, dy, dx }) =>
    taps.map((inner) => ({
      dy: dy + inner.dy,
      dx: dx + inner.dx,
      channel: inner.channel.map((factor, c) => factor * weight[(c * kernel + ky) * kernel + kx]),
      position: inner.position.map((_, at) => {
        const [y, x] = [Math.floor(at / width) + dy, (at % width) + dx]
        return y >= 0 && y < height && x >= 0 && x < width ? inner.position[y * width + x] : 0
      }),
    })),
  )
}
