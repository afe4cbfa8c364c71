import type { Cell, Convolution, Network, PolyConv, PolyMlp, PolyNorm } from '../../models/network.ts'
import { type Graph, GraphBuilder, type NodeId, type Shape } from './graph.ts'
import { rootMeanSquare } from './statistics.ts'

const EPSILON = 1e-5

/** The unfolded graph of a network: one node for each operation of the paper's tables. */
export function networkGraph(network: Network): Graph {
  const b = new NetworkGraphBuilder()
  const image = b.add({ kind: 'input', name: 'input', shape: [3, network.height, network.width], rms: 1 })
  let s0 = b.conv(network.stem, image, 'stem')
  let s1 = s0
  network.cells.forEach((cell, i) => {
    if (cell.reductions) {
      s0 = b.convs(cell.reductions.s0, s0)
      s1 = b.convs(cell.reductions.s1, s1)
    }
    const p = b.cell(cell, s0, s1, `cells.${i}`)
    s0 = s1
    s1 = p
  })
  const proj = b.conv(network.proj, b.norm(network.norm, s1, 'norm'), 'proj')
  const left = b.half(proj, 0, 'head.l')
  const right = b.half(proj, 1, 'head.r')
  const product = b.binary('multiply', left, right, 'head.product')
  const sum = b.binary('add', left, product, 'head.sum')
  const output = b.add({
    kind: 'head',
    name: 'head',
    source: sum,
    weight: Float64Array.from(network.head.weight),
    bias: Float64Array.from(network.head.bias),
    shape: [network.head.classes, 1, 1],
  })
  return b.finish(output)
}

class NetworkGraphBuilder extends GraphBuilder {
  conv(conv: Convolution, source: NodeId, name: string): NodeId {
    const [, h, w] = this.shape(source)
    const size = (n: number) =>
      Math.floor((n + 2 * conv.padding - conv.dilation * (conv.kernel - 1) - 1) / conv.stride) + 1
    return this.add({
      kind: 'conv',
      name,
      source,
      weight: Float64Array.from(conv.weight),
      kernel: conv.kernel,
      stride: conv.stride,
      padding: conv.padding,
      dilation: conv.dilation,
      groups: conv.groups,
      shape: [conv.outChannels, size(h), size(w)],
    })
  }

  convs(convs: readonly Convolution[], source: NodeId): NodeId {
    return convs.reduce((id, conv) => this.conv(conv, id, conv.name.replace(/\.weight$/, '')), source)
  }

  norm(norm: PolyNorm, source: NodeId, name: string): NodeId {
    const position = Float64Array.from(norm.gammaHW, (g, i) => g / Math.sqrt(norm.variance[i] + EPSILON))
    return this.add({
      kind: 'norm',
      name,
      source,
      mean: Float64Array.from(norm.mean),
      position,
      channel: Float64Array.from(norm.gammaC),
      shape: this.shape(source),
      // In training, the running statistics gave the normalised tensor unit variance before the gammas.
      rms: rootMeanSquare(norm.gammaHW) * rootMeanSquare(norm.gammaC),
    })
  }

  /** The first or the second half of the channels. */
  half(source: NodeId, which: 0 | 1, name: string): NodeId {
    const [c, h, w] = this.shape(source)
    const shape: Shape = [c / 2, h, w]
    return this.add({ kind: 'slice', name, source, start: (which * c) / 2, shape })
  }

  binary(kind: 'add' | 'multiply', left: NodeId, right: NodeId, name: string): NodeId {
    return this.add({ kind, name, left, right, shape: this.shape(left) })
  }

  scaleChannels(channel: Float32Array, source: NodeId, name: string): NodeId {
    return this.add({
      kind: 'scaleChannels',
      name,
      source,
      channel: Float64Array.from(channel),
      shape: this.shape(source),
    })
  }

  /** p += sigmoid(skip) * branch. */
  residual(p: NodeId, branch: NodeId, skip: number, name: string): NodeId {
    const scaled = this.add({
      kind: 'sigmoidScale',
      name: `${name}.ratio`,
      source: branch,
      skip,
      shape: this.shape(branch),
    })
    return this.binary('add', p, scaled, name)
  }

  cell(cell: Cell, s0: NodeId, s1: NodeId, name: string): NodeId {
    const sum = this.binary(
      'add',
      this.scaleChannels(cell.preprocess0, s0, `${name}.preprocess0`),
      this.scaleChannels(cell.preprocess1, s1, `${name}.preprocess1`),
      `${name}.sum`,
    )
    let p = this.norm(cell.norm, sum, `${name}.postprocess`)
    cell.stacks.forEach(({ conv, mlp }, j) => {
      p = this.polyConv(conv, p, `${name}.stack.${j}.conv`)
      p = this.polyMlp(mlp, p, `${name}.stack.${j}.mlp`)
    })
    return p
  }

  polyConv(layer: PolyConv, p: NodeId, name: string): NodeId {
    const inner = this.conv(layer.pointwiseIn, p, `${name}.in`)
    const coarse = this.conv(layer.coarse, inner, `${name}.coarse`)
    const fine = this.conv(layer.fine, inner, `${name}.fine`)
    const flipped = this.add({ kind: 'flip', name: `${name}.flip`, source: fine, shape: this.shape(fine) })
    const product = this.binary('multiply', coarse, flipped, `${name}.product`)
    const depthwise = this.conv(layer.depthwise, product, `${name}.depthwise`)
    const out = this.conv(layer.pointwiseOut, depthwise, `${name}.out`)
    return this.residual(p, this.norm(layer.norm, out, `${name}.norm`), layer.skip, name)
  }

  polyMlp(layer: PolyMlp, p: NodeId, name: string): NodeId {
    const inner = this.conv(layer.pointwiseIn, p, `${name}.in`)
    const high = this.half(inner, 0, `${name}.high`)
    const low = this.half(inner, 1, `${name}.low`)
    const product = this.binary('multiply', high, low, `${name}.product`)
    const normed = this.norm(layer.norm, product, `${name}.norm`)
    return this.residual(p, this.conv(layer.pointwiseOut, normed, `${name}.out`), layer.skip, name)
  }
}
