import { PolyVeilError } from '../../errors/index.ts'
import type { Cell, Convolution, Network, PolyConv, PolyMlp } from '../network.ts'
import { convolve } from './convolve.ts'
import { normalise } from './normalise.ts'
import { combine, flipChannels, split, type Tensor } from './tensor.ts'

/** Called with every named tensor as soon as it is there. It must not change the tensor. */
export type Observer = (name: string, tensor: { shape: readonly number[]; data: Float64Array }) => void

const IMAGE_CHANNELS = 3

/**
 * The network in the clear, in float64. Every encrypted result is compared with it.
 *
 * Names that the observer sees, in order of computation:
 * - `input`, `stem`;
 * - for cell i with reductions: `reductions.r` (s0's, then s1's; r counts through the network), and
 *   `reductions.r.0` before it, the depthwise half of a separable one;
 * - `cells.i.sum`, the scaled sum of s0 and s1; `cells.i.postprocess`, its poly-BN;
 * - for stack j, PolyConv: `cells.i.stack.j.conv.b`, `.coarse`, `.fine` (before its channels are flipped),
 *   `.product`, `.depthwise`, `.out` (before poly-BN), `.norm`, and `cells.i.stack.j.conv`, p after the
 *   residual;
 * - PolyMLP: `cells.i.stack.j.mlp.in` (high, then low), `.product`, `.norm`, `.out`, and
 *   `cells.i.stack.j.mlp`, p after the residual;
 * - `cells.i`, the cell's output; then `norm`, `proj` (l, then r), `head.product` (l * r), `head.sum` (l + l
 *   * r), `head.pool` [2C, 1, 1], `logits` [classes].
 *
 * @param input [3, H, W], row-major, preprocessed
 * @returns the logits, [classes]; not finite where the network diverges on the input
 * @throws TENSOR_MALFORMED when the input has another size
 */
export function referenceForward(
  network: Network,
  input: Float32Array | Float64Array,
  observe: Observer = () => {},
): Float64Array {
  const run = new Run(observe)
  const image = run.note('input', inputTensor(network, input))
  let s1 = run.note('stem', convolve(network.stem, image))
  let s0 = s1
  for (const [i, cell] of network.cells.entries()) {
    const output = run.cell(cell, `cells.${i}`, s0, s1)
    // After a downsize the older input of the next cell is the reduced one.
    s0 = output.s1
    s1 = output.p
  }
  return run.head(network, s1)
}

function inputTensor({ height, width }: Network, input: Float32Array | Float64Array): Tensor {
  const shape = [IMAGE_CHANNELS, height, width] as const
  if (input.length !== IMAGE_CHANNELS * height * width) {
    throw new PolyVeilError(
      'TENSOR_MALFORMED',
      `The input has ${input.length} values, but the network takes [${shape}]`,
      { expected: shape, found: input.length },
    )
  }
  return { shape, data: Float64Array.from(input) }
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** One pass through a network; it only knows whom to tell, and how many reductions there were. */
class Run {
  readonly #observe: Observer
  #reductions = 0

  constructor(observe: Observer) {
    this.#observe = observe
  }

  note(name: string, tensor: Tensor): Tensor {
    this.#observe(name, tensor)
    return tensor
  }

  /** The cell's output p, and the s1 it worked on. */
  cell(cell: Cell, name: string, older: Tensor, newer: Tensor): { p: Tensor; s1: Tensor } {
    const s0 = cell.reductions ? this.#reduce(cell.reductions.s0, older) : older
    const s1 = cell.reductions ? this.#reduce(cell.reductions.s1, newer) : newer
    const sum = this.note(`${name}.sum`, scaledSum(cell, s0, s1))
    let p = this.note(`${name}.postprocess`, normalise(cell.norm, sum))
    for (const [j, { conv, mlp }] of cell.stacks.entries()) {
      p = this.#polyConv(conv, `${name}.stack.${j}.conv`, p)
      p = this.#polyMlp(mlp, `${name}.stack.${j}.mlp`, p)
    }
    return { p: this.note(name, p), s1 }
  }

  head(network: Network, p: Tensor): Float64Array {
    const normalised = this.note('norm', normalise(network.norm, p))
    const [l, r] = split(this.note('proj', convolve(network.proj, normalised)))
    const product = this.note(
      'head.product',
      combine(l, r, (a, b) => a * b),
    )
    const sum = this.note(
      'head.sum',
      combine(l, product, (a, b) => a + b),
    )
    const pooled = this.note('head.pool', averagePool(sum))
    const logits = classify(network.head, pooled.data)
    this.#observe('logits', { shape: [network.head.classes], data: logits })
    return logits
  }

  #reduce(layers: readonly Convolution[], x: Tensor): Tensor {
    const name = `reductions.${this.#reductions++}`
    const [first, second] = layers
    if (!second) return this.note(name, convolve(first, x))
    return this.note(name, convolve(second, this.note(`${name}.0`, convolve(first, x))))
  }

  #polyConv(conv: PolyConv, name: string, p: Tensor): Tensor {
    const b = this.note(`${name}.b`, convolve(conv.pointwiseIn, p))
    const coarse = this.note(`${name}.coarse`, convolve(conv.coarse, b))
    const fine = this.note(`${name}.fine`, convolve(conv.fine, b))
    const product = this.note(
      `${name}.product`,
      combine(coarse, flipChannels(fine), (x, y) => x * y),
    )
    const spread = this.note(`${name}.depthwise`, convolve(conv.depthwise, product))
    const out = this.note(`${name}.out`, convolve(conv.pointwiseOut, spread))
    const branch = this.note(`${name}.norm`, normalise(conv.norm, out))
    return this.note(name, addBranch(p, branch, conv.skip))
  }

  #polyMlp(mlp: PolyMlp, name: string, p: Tensor): Tensor {
    const [high, low] = split(this.note(`${name}.in`, convolve(mlp.pointwiseIn, p)))
    const product = this.note(
      `${name}.product`,
      combine(high, low, (x, y) => x * y),
    )
    const normalised = this.note(`${name}.norm`, normalise(mlp.norm, product))
    const branch = this.note(`${name}.out`, convolve(mlp.pointwiseOut, normalised))
    return this.note(name, addBranch(p, branch, mlp.skip))
  }
}

/** preprocess0(s0) + preprocess1(s1), each a scale per channel. */
function scaledSum({ preprocess0, preprocess1 }: Cell, s0: Tensor, s1: Tensor): Tensor {
  const [, height, width] = s0.shape
  const map = height * width
  const data = s0.data.map((x, i) => {
    const c = Math.floor(i / map)
    return x * preprocess0[c] + s1.data[i] * preprocess1[c]
  })
  return { shape: s0.shape, data }
}

/** Sigmoid-Scale: p + sigmoid(skip) * branch. */
function addBranch(p: Tensor, branch: Tensor, skip: number): Tensor {
  const ratio = sigmoid(skip)
  return combine(p, branch, (x, y) => x + ratio * y)
}

function averagePool({ shape: [channels, height, width], data }: Tensor): Tensor {
  const map = height * width
  const means = new Float64Array(channels)
  for (let c = 0; c < channels; c++) {
    means[c] = data.subarray(c * map, (c + 1) * map).reduce((sum, x) => sum + x, 0) / map
  }
  return { shape: [channels, 1, 1], data: means }
}

function classify({ classes, weight, bias }: Network['head'], pooled: Float64Array): Float64Array {
  return Float64Array.from({ length: classes }, (_, k) =>
    pooled.reduce((sum, x, c) => sum + weight[k * pooled.length + c] * x, bias[k]),
  )
}
