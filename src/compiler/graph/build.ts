import { type Convolution, isPositionNorm, NORM_EPSILON, type Norm } from '../../models/layers.ts'
import type { Network, Operation } from '../../models/network.ts'
import { type Graph, GraphBuilder, type NodeId } from './graph.ts'
import { rootMeanSquare } from './statistics.ts'

/** The unfolded graph of a network: one node for each operation, and one for each bias. */
export function networkGraph({ operations }: Network): Graph {
  const built = new OperationGraphBuilder()
  const ids: NodeId[] = []
  for (const operation of operations) ids.push(built.operation(operation, ids))
  return built.finish(ids.at(-1)!)
}

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
        throw new Error('The graph has no shift')
      case 'add':
      case 'multiply': {
        const { kind, left, right } = operation
        return this.add({ kind, name, left: ids[left], right: ids[right], shape })
      }
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
    const area = shape[1] * shape[2]
    const bias = Float64Array.from({ length: shape[0] * area }, (_, i) => offsets[Math.floor(i / area)])
    return this.add({ kind: 'bias', name, source, bias, shape, rms })
  }
}
