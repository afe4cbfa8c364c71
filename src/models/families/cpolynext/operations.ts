import { type KernelShape, POINTWISE, SAME_3X3, SAME_5X5 } from '../../kernel.ts'
import {
  readAttention,
  readConvolution,
  readDepthwise,
  readLinear,
  readPositionNorm,
} from '../../layer-reader.ts'
import type { Operation, OperationId } from '../../network.ts'
import { OperationList } from '../../operation-list.ts'
import type { TensorSource } from '../../tensor-reader.ts'
import type { CPolyNeXtConfig } from './config.ts'
import { type CellGeometry, coarseKernel, HEAD_CHANNELS, reductionKernel, STEM_KERNEL } from './geometry.ts'
import { invalidConfig } from './invalid-config.ts'
import type { DownsizeType } from './literal.ts'

/** Entries of `ops` that each part of a stack takes. */
const OPS = { conv: 4, attention: 1, mlp: 2 }

/** Observers do not see the tensor. */
const UNSEEN: readonly string[] = []

/**
 * The operations of a CPolyNeXt or APolyNeXt network ("Activation-Free Backbones for Image Recognition", ICML
 * 2026).
 *
 * Names that observers of the float reference see, in order of computation:
 * - `input`, `stem`;
 * - for cell i with reductions: `reductions.r` (s0's, then s1's; r counts through the network), and
 *   `reductions.r.0` before it, the depthwise half of a separable one;
 * - `cells.i.sum`, the scaled sum of s0 and s1; `cells.i.postprocess`, its poly-BN;
 * - for stack j, PolyConv: `cells.i.stack.j.conv.b`, `.coarse`, `.fine` (before its channels are flipped),
 *   `.product`, `.depthwise`, `.out` (before poly-BN), `.norm`, and `cells.i.stack.j.conv`, p after the
 *   residual;
 * - for stack j with PolyAttn in PolyConv's place: `cells.i.stack.j.attention.x` (the poly-BN of p), `.qk`,
 *   `.q`, `.k`, `.v`, `.values` (A v), `.depthwise`, `.norm`, `.out`, and `cells.i.stack.j.attention`, p
 *   after the residual;
 * - PolyMLP: `cells.i.stack.j.mlp.in` (high, then low), `.product`, `.norm`, `.out`, and
 *   `cells.i.stack.j.mlp`, p after the residual;
 * - `cells.i`, the cell's output; then `norm`, `proj` (l, then r), `head.product` (l * r), `head.sum` (l + l
 *   * r), `head.pool` [2C, 1, 1], `logits` [classes].
 *
 * @throws CONFIG_INVALID when `attn` contradicts the checkpoint; what `TensorSource` throws
 */
export function cpolynextOperations(config: CPolyNeXtConfig, tensors: TensorSource): readonly Operation[] {
  return new Cells(config, tensors).network()
}

/** Reads the layers of cells and appends their operations. */
class Cells {
  readonly #config: CPolyNeXtConfig
  readonly #tensors: TensorSource
  readonly #list: OperationList

  constructor(config: CPolyNeXtConfig, tensors: TensorSource) {
    this.#config = config
    this.#tensors = tensors
    this.#list = new OperationList(config.inputSize)
  }

  network(): readonly Operation[] {
    const { initChannels, stem, geometry } = this.#config
    let s0 = this.#dense(this.#list.input, 'stem', initChannels, STEM_KERNEL[stem], 'stem')
    let s1 = s0
    for (const [i, cell] of geometry.entries()) {
      if (cell.downsizes) [s0, s1] = this.#reductions(cell, s0, s1)
      const p = this.#cell(i, s0, s1)
      s0 = s1
      s1 = p
    }
    return this.#head(s1)
  }

  /** Reads a convolution that mixes channels, and appends it. */
  #dense(
    source: OperationId,
    tensor: string,
    outChannels: number,
    kernel: KernelShape,
    name: string,
    seenAs?: readonly string[],
  ): OperationId {
    const [inChannels] = this.#list.shape(source)
    const layer = readConvolution(this.#tensors, tensor, inChannels, outChannels, kernel)
    return this.#list.convolution(layer, source, name, seenAs)
  }

  #depthwise(source: OperationId, tensor: string, kernel: KernelShape, name: string): OperationId {
    const [channels] = this.#list.shape(source)
    return this.#list.convolution(readDepthwise(this.#tensors, tensor, channels, kernel), source, name)
  }

  #norm(source: OperationId, tensor: string, name: string): OperationId {
    const [channels, height, width] = this.#list.shape(source)
    const norm = readPositionNorm(this.#tensors, tensor, channels, { height, width })
    return this.#list.norm(norm, source, name)
  }

  #reductions(
    { stage, channels }: CellGeometry,
    s0: OperationId,
    s1: OperationId,
  ): [OperationId, OperationId] {
    const [type0, type1] = this.#config.downsizeTypes
    const first = 2 * (stage - 1)
    return [
      this.#reduction(s0, `reductions.${first}`, type0, channels),
      this.#reduction(s1, `reductions.${first + 1}`, type1, channels),
    ]
  }

  #reduction(source: OperationId, name: string, type: DownsizeType, channels: number): OperationId {
    const kernel = reductionKernel(type)
    if (type.startsWith('full')) return this.#dense(source, name, channels, kernel, name)
    const spread = this.#depthwise(source, `${name}.0`, kernel, `${name}.0`)
    return this.#dense(spread, `${name}.1`, channels, POINTWISE, `${name}.1`, [name])
  }

  #cell(index: number, s0: OperationId, s1: OperationId): OperationId {
    const name = `cells.${index}`
    const list = this.#list
    const { sigmoidScales, nodes, pairedScale, geometry } = this.#config
    const skips = this.#tensors.take(`${name}.skip_weight`, [sigmoidScales])
    const [older, newer] = [
      this.#preprocess(s0, `${name}.preprocess0`),
      this.#preprocess(s1, `${name}.preprocess1`),
    ]
    let p = this.#norm(list.add(older, newer, `${name}.sum`), `${name}.postprocess`, `${name}.postprocess`)
    const stacks = nodes[index] / 2
    const hasAttention = geometry[index].heads > 0
    this.#requireMixing(name, hasAttention)
    const mixing = hasAttention ? OPS.attention : OPS.conv
    for (let j = 0; j < stacks; j++) {
      const [mixSkip, mlpSkip] = pairedScale ? [j, j + 1] : [2 * j, 2 * j + 1]
      const stack = `${name}.stack.${j}`
      const first = j * (mixing + OPS.mlp)
      const op = (k: number): string => `${name}.ops.${first + k}`
      p = hasAttention
        ? this.#polyAttention(p, op(0), `${stack}.attention`, geometry[index], skips[mixSkip])
        : this.#polyConv(p, op, `${stack}.conv`, geometry[index], skips[mixSkip])
      const mlpOp = (k: number): string => op(mixing + k)
      // The output of the last stack is the cell's.
      const seenAs = j === stacks - 1 ? [`${stack}.mlp`, name] : undefined
      p = this.#polyMlp(p, mlpOp, `${stack}.mlp`, geometry[index], skips[mlpSkip], seenAs)
    }
    return p
  }

  /** @throws CONFIG_INVALID when the cell's first stack mixes by the other of PolyConv and PolyAttn */
  #requireMixing(cell: string, hasAttention: boolean): void {
    const isAttention = this.#tensors.has(`${cell}.ops.0.1.qkv.weight`)
    const isConv = this.#tensors.has(`${cell}.ops.0.weight`)
    if (isAttention === isConv || isAttention === hasAttention) return
    const found = isAttention ? 'PolyAttn, as APolyNeXt has' : 'PolyConv, as CPolyNeXt has'
    throw invalidConfig(
      'attention',
      `it is ${this.#config.attention}, but ${cell} of the checkpoint has ${found}`,
    )
  }

  #preprocess(source: OperationId, name: string): OperationId {
    const [channels] = this.#list.shape(source)
    const scale = this.#tensors.take(`${name}.scale`, [1, channels, 1, 1])
    return this.#list.scaleChannels(scale, source, name, UNSEEN)
  }

  /** p += sigmoid(skip) * norm(pointwiseOut(depthwise(coarse(b) * flip(fine(b))))), b = pointwiseIn(p). */
  #polyConv(
    p: OperationId,
    op: (k: number) => string,
    name: string,
    { channels, convChannels, stage }: CellGeometry,
    skip: number,
  ): OperationId {
    const list = this.#list
    const b = this.#dense(p, op(0), convChannels, POINTWISE, `${name}.in`, [`${name}.b`])
    const coarse = this.#depthwise(b, op(1), coarseKernel(stage), `${name}.coarse`)
    const fine = this.#depthwise(b, op(2), SAME_3X3, `${name}.fine`)
    const product = list.multiply(coarse, list.flip(fine, `${name}.flip`, UNSEEN), `${name}.product`)
    const spread = this.#depthwise(product, `${op(3)}.0`, SAME_3X3, `${name}.depthwise`)
    const out = this.#dense(spread, `${op(3)}.1`, channels, POINTWISE, `${name}.out`)
    const branch = this.#norm(out, `${op(3)}.2`, `${name}.norm`)
    return this.#residual(p, branch, skip, name)
  }

  /**
   * p += sigmoid(skip) * pointwiseOut(norm(depthwise(A v))), A of q and k, from the halves of
   * pointwiseIn(norm(p)).
   *
   * @param op the checkpoint's name of the norm and the attention
   */
  #polyAttention(
    p: OperationId,
    op: string,
    name: string,
    { channels, heads, height, width }: CellGeometry,
    skip: number,
  ): OperationId {
    const list = this.#list
    const x = this.#norm(p, `${op}.0`, `${name}.x`)
    const inner = this.#dense(x, `${op}.1.qkv`, 2 * heads * HEAD_CHANNELS, POINTWISE, `${name}.in`, UNSEEN)
    const qk = list.half(inner, 0, `${name}.qk`)
    const q = this.#depthwise(qk, `${op}.1.q_conv`, SAME_5X5, `${name}.q`)
    const k = this.#depthwise(qk, `${op}.1.k_conv`, SAME_5X5, `${name}.k`)
    const v = this.#depthwise(
      list.half(inner, 1, `${name}.vs`, UNSEEN),
      `${op}.1.v_conv`,
      SAME_3X3,
      `${name}.v`,
    )
    const sizes = { heads, headChannels: HEAD_CHANNELS, height, width }
    const values = list.attention(readAttention(this.#tensors, `${op}.1`, sizes), [q, k, v], `${name}.values`)
    const spread = this.#depthwise(values, `${op}.1.final_conv`, SAME_3X3, `${name}.depthwise`)
    const normed = this.#norm(spread, `${op}.1.norm2`, `${name}.norm`)
    const branch = this.#dense(normed, `${op}.1.proj`, channels, POINTWISE, `${name}.out`)
    return this.#residual(p, branch, skip, name)
  }

  /** p += sigmoid(skip) * pointwiseOut(norm(high * low)), [high, low] = split(pointwiseIn(p)). */
  #polyMlp(
    p: OperationId,
    op: (k: number) => string,
    name: string,
    { channels, mlpChannels }: CellGeometry,
    skip: number,
    seenAs: readonly string[] | undefined,
  ): OperationId {
    const list = this.#list
    const inner = this.#dense(p, op(0), mlpChannels, POINTWISE, `${name}.in`)
    const high = list.half(inner, 0, `${name}.high`, UNSEEN)
    const low = list.half(inner, 1, `${name}.low`, UNSEEN)
    const product = list.multiply(high, low, `${name}.product`)
    const normed = this.#norm(product, `${op(1)}.0`, `${name}.norm`)
    const branch = this.#dense(normed, `${op(1)}.1`, channels, POINTWISE, `${name}.out`)
    return this.#residual(p, branch, skip, name, seenAs)
  }

  /** p + sigmoid(skip) * branch. */
  #residual(
    p: OperationId,
    branch: OperationId,
    skip: number,
    name: string,
    seenAs?: readonly string[],
  ): OperationId {
    const scaled = this.#list.sigmoidScale(skip, branch, `${name}.ratio`, UNSEEN)
    return this.#list.add(p, scaled, name, seenAs)
  }

  /** logits of l + l * r, [l, r] = split(proj(norm(p))). */
  #head(p: OperationId): readonly Operation[] {
    const list = this.#list
    const [channels] = list.shape(p)
    const proj = this.#dense(this.#norm(p, 'norm', 'norm'), 'proj', 4 * channels, POINTWISE, 'proj')
    const left = list.half(proj, 0, 'head.l', UNSEEN)
    const right = list.half(proj, 1, 'head.r', UNSEEN)
    const sum = list.add(left, list.multiply(left, right, 'head.product'), 'head.sum')
    return list.classify(readLinear(this.#tensors, 'head.3', 2 * channels, this.#config.classes), sum)
  }
}
