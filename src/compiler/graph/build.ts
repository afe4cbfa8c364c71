import { PolyVeilError } from '../../errors/index.ts'
import { type Convolution, isPositionNorm, NORM_EPSILON, type Norm } from '../../models/layers.ts'
import { type Network, type Operation, type OperationId, sourcesOf } from '../../models/network.ts'
import { biasOfChannels } from './channel-bias.ts'
import { type Graph, GraphBuilder, type NodeId } from './graph.ts'
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
        throw new PolyVeilError('CONFIG_INVALID', 'PolyAttn is not compiled yet')
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
