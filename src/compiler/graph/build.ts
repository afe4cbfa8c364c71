import {
  type Convolution,
  DENOMINATOR_EPSILON,
  isPositionNorm,
  NORM_EPSILON,
  type Norm,
  type PolyAttention,
} from '../../models/layers.ts'
import {
  type Network,
  type Operation,
  type OperationId,
  type OperationOf,
  sourcesOf,
} from '../../models/network.ts'
import { biasOfChannels } from './channel-bias.ts'
import { sigmoid } from './evaluate.ts'
import { type Graph, GraphBuilder, type NodeId, type PositionedTap, type Shape } from './graph.ts'
import { inBlocks, outputsPerInput, readingBlocks, ungrouped } from './grouped.ts'
import { rootMeanSquare } from './statistics.ts'
import { shiftTaps } from './taps.ts'

/** The unfolded graph of a network: one node for each operation, and one for each bias. */
export function networkGraph(network: Network): Graph {
  const operations = inGraphOrder(network)
  const built = new OperationGraphBuilder()
  const ids: NodeId[] = []
  for (const operation of operations) ids.push(built.operation(operation, ids))
  return built.finish(ids.at(-1)!)
}

/**
 * The operations with convolutions as the graph has them. The outputs of a convolution with several for each
 * input come in blocks where dense convolutions read them, which take their columns in that order. All other
 * grouped convolutions become dense.
 */
function inGraphOrder({ operations }: Network): readonly Operation[] {
  const layers = new Map<OperationId, Convolution>()
  const layerOf = (id: OperationId): Convolution | undefined => {
    const operation = operations[id]
    return operation.kind === 'convolution' ? (layers.get(id) ?? operation.layer) : undefined
  }
  for (const [id, operation] of operations.entries()) {
    if (operation.kind !== 'convolution' || !isUnusual(operation.layer)) continue
    const readers = [...operations.keys()].filter((reader) => sourcesOf(operations[reader]).includes(id))
    const outputs = outputsPerInput(operation.layer)
    if (outputs === 1 || !readers.every((reader) => layerOf(reader)?.groups === 1)) {
      layers.set(id, ungrouped(layerOf(id)!))
      continue
    }
    for (const reader of readers) layers.set(reader, readingBlocks(layerOf(reader)!, outputs))
    layers.set(id, inBlocks(layerOf(id)!))
  }
  return operations.map((operation, id) => {
    const layer = layers.get(id)
    return operation.kind === 'convolution' && layer !== undefined ? { ...operation, layer } : operation
  })
}

/** Whether a convolution is neither dense nor depthwise with one output for each input. */
const isUnusual = ({ groups, inChannels, outChannels }: Convolution): boolean =>
  groups !== 1 && !(groups === inChannels && groups === outChannels)

class OperationGraphBuilder extends GraphBuilder {
  /** @param ids nodes of the operations before this one */
  operation(operation: Operation, ids: readonly NodeId[]): NodeId {
    const { name, shape } = operation
    switch (operation.kind) {
      case 'input':
        return this.add({ kind: 'input', name, shape, rms: 1 })
      case 'convolution':
        return this.#convolution(operation.layer, ids[operation.source], operation)
      case 'norm':
        return this.#norm(operation.norm, ids[operation.source], operation)
      case 'scaleChannels': {
        const channel = Float64Array.from(operation.scale)
        return this.add({ kind: 'scaleChannels', name, source: ids[operation.source], channel, shape })
      }
      case 'scale': {
        const channel = new Float64Array(shape[0]).fill(operation.factor)
        return this.add({ kind: 'scaleChannels', name, source: ids[operation.source], channel, shape })
      }
      case 'sigmoidScale': {
        const { skip } = operation
        return this.add({ kind: 'sigmoidScale', name, source: ids[operation.source], skip, shape })
      }
      case 'flip':
        return this.add({ kind: 'flip', name, source: ids[operation.source], shape })
      case 'slice': {
        const { start } = operation
        return this.add({ kind: 'slice', name, source: ids[operation.source], start, shape })
      }
      case 'shift':
        return this.add({ kind: 'taps', name, source: ids[operation.source], taps: shiftTaps(shape), shape })
      case 'add':
      case 'multiply': {
        const { kind, left, right } = operation
        return this.add({ kind, name, left: ids[left], right: ids[right], shape })
      }
      case 'attention':
        return this.#attention(
          operation,
          [operation.query, operation.key, operation.value].map((id) => ids[id]),
        )
      case 'classify':
        return this.add({
          kind: 'head',
          name,
          source: ids[operation.source],
          weight: Float64Array.from(operation.weight),
          bias: Float64Array.from(operation.bias),
          shape,
        })
    }
  }

  /** A convolution, and behind it its bias. */
  #convolution(layer: Convolution, source: NodeId, { name, shape }: Operation): NodeId {
    const { kernel, stride, padding, dilation, groups } = layer
    const weight = Float64Array.from(layer.weight)
    const conv = { kind: 'conv', source, weight, kernel, stride, padding, dilation, groups } as const
    const id = this.add({ ...conv, name, shape })
    return layer.bias ? this.#channelBias(layer.bias, id, `${name}.bias`) : id
  }

  /** The fourth power of the scores, applied to the value; then the constants of rows. */
  #attention(
    { name, shape, layer }: OperationOf<'attention'>,
    [query, key, value]: readonly NodeId[],
  ): NodeId {
    const [channels, height, width] = shape
    const { heads, headChannels } = layer
    const channel = Float64Array.from({ length: channels }, (_, c) =>
      sigmoid(layer.scale[Math.floor(c / headChannels)]),
    )
    const left = this.add({ kind: 'scaleChannels', name: `${name}.scale`, source: query, channel, shape })
    const pairs: Shape = [heads * height * width, height, width]
    const scores = { kind: 'scores', heads, gain: 1, offset: 1, left, right: key, shape: pairs } as const
    let power = this.add({ ...scores, name: `${name}.scores` })
    for (const suffix of ['square', 'power']) {
      power = this.add({
        kind: 'multiply',
        name: `${name}.${suffix}`,
        left: power,
        right: power,
        shape: pairs,
      })
    }
    const attend = { kind: 'attend', heads, gain: 1, left: power, right: value, shape } as const
    const source = this.add({ ...attend, name: `${name}.sum` })
    return this.add({ kind: 'taps', name, source, taps: rowTaps(layer, shape), shape })
  }

  #norm(norm: Norm, source: NodeId, { name, shape }: Operation): NodeId {
    // In training, the running statistics gave the normalised tensor unit variance before the gammas.
    if (isPositionNorm(norm)) {
      const position = Float64Array.from(
        norm.gammaHW,
        (g, i) => g / Math.sqrt(norm.variance[i] + NORM_EPSILON),
      )
      const size = rootMeanSquare(norm.gammaHW) * rootMeanSquare(norm.gammaC)
      const mean = Float64Array.from(norm.mean)
      const channel = Float64Array.from(norm.gammaC)
      const id = this.add({ kind: 'norm', name, source, mean, position, channel, shape, rms: size })
      const { betaC, betaHW } = norm
      if (betaC === undefined || betaHW === undefined) return id
      const rms = Math.hypot(size, rootMeanSquare(betaC), rootMeanSquare(betaHW))
      const bias = Float64Array.from({ length: betaC.length * betaHW.length }, (_, i) => {
        return betaC[Math.floor(i / betaHW.length)] + betaHW[i % betaHW.length]
      })
      return this.add({ kind: 'bias', name: `${name}.beta`, source: id, bias, shape, rms })
    }
    const channel = Float64Array.from(norm.weight, (w, c) => w / Math.sqrt(norm.variance[c] + NORM_EPSILON))
    const offset = Float64Array.from(norm.bias, (b, c) => b - norm.mean[c] * channel[c])
    const scaled = this.add({ kind: 'scaleChannels', name: `${name}.scale`, source, channel, shape })
    const rms = Math.hypot(rootMeanSquare(norm.weight), rootMeanSquare(norm.bias))
    return this.#channelBias(offset, scaled, name, rms)
  }

  /** x + bias[c]. */
  #channelBias(offsets: ArrayLike<number>, source: NodeId, name: string, rms?: number): NodeId {
    const shape = this.shape(source)
    return this.add({ kind: 'bias', name, source, bias: biasOfChannels(offsets, shape), shape, rms })
  }
}

/** The constants of attention's rows, as a tap of distance 0 for each head. */
function rowTaps(
  { heads, headChannels, denominator, gamma }: PolyAttention,
  [channels]: Shape,
): PositionedTap[] {
  const area = gamma.length / heads
  return Array.from({ length: heads }, (_, head) => ({
    dy: 0,
    dx: 0,
    channel: new Float64Array(channels).fill(1, head * headChannels, (head + 1) * headChannels),
    position: Float64Array.from({ length: area }, (_, row) => {
      const at = head * area + row
      return gamma[at] / (denominator[at] + DENOMINATOR_EPSILON)
    }),
  }))
}
