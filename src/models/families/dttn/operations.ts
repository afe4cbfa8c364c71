import { invalidConfig } from '../../invalid-config.ts'
import { HALVING_2X2, type KernelShape, POINTWISE, SAME_3X3 } from '../../kernel.ts'
import { readChannelNorm, readConvolution, readLinear, readPositionNorm } from '../../layer-reader.ts'
import type { Operation, OperationId } from '../../network.ts'
import { OperationList } from '../../operation-list.ts'
import type { TensorSource } from '../../tensor-reader.ts'
import { patchStem, type StageGeometry } from '../stages.ts'
import type { DttnConfig } from './config.ts'

/**
 * The operations of a DTTN network ("Deep Tree Tensor Networks for Image Recognition", NeurIPS 2025, arXiv
 * 2502.09928).
 *
 * Names that observers of the float reference see, in order of computation:
 * - `input`, `fs`, `stem`, the output of `fs2`;
 * - for child k of `network` that is a convolution: `network.k`;
 * - for block j of child k, below `network.k.model.j`: `.L1`, `.L2`, `.R1`, `.R2`; in the form `branches`
 *   `.norm1`, `.norm2`, `.product`; in the form `product` `.product`, `.norm1`; then `.Pro`, `.norm3`, and
 *   `network.k.model.j` itself, x after the residual;
 * - `network.k`, the output of a stage; then `head.pool` and `logits`.
 *
 * @throws CONFIG_INVALID when `form` contradicts the checkpoint; what `TensorSource` throws
 */
export const dttnOperations = (config: DttnConfig, tensors: TensorSource): readonly Operation[] =>
  new Blocks(config, tensors).network()

class Blocks {
  readonly #config: DttnConfig
  readonly #tensors: TensorSource
  readonly #list: OperationList
  readonly #form: 'branches' | 'product'

  constructor(config: DttnConfig, tensors: TensorSource) {
    this.#config = config
    this.#tensors = tensors
    this.#list = new OperationList(config.inputSize)
    this.#form = formOf(config, tensors)
  }

  network(): readonly Operation[] {
    const { geometry, layers, transitions, stemKernel, classes } = this.#config
    let x = patchStem(this.#list, this.#tensors, geometry[0].channels, stemKernel)
    let child = 0
    for (const [i, stage] of geometry.entries()) {
      if (transitions[i]) {
        const name = `network.${child++}`
        x = this.#convolution(x, name, stage.channels, HALVING_2X2, name)
      }
      const name = `network.${child++}`
      for (let j = 0; j < layers[i]; j++) {
        x = this.#block(x, name, j, stage, j === layers[i] - 1)
      }
    }
    const { channels } = geometry[geometry.length - 1]
    return this.#list.classify(readLinear(this.#tensors, 'head.1', channels, classes), x)
  }

  /** x + alpha * norm3(Pro(q)), q the product of two branches of width d or scale * d. */
  #block(
    x: OperationId,
    stage: string,
    index: number,
    { channels }: StageGeometry,
    isLast: boolean,
  ): OperationId {
    const list = this.#list
    const tensor = (part: string): string => `${stage}.model.${index}.0.${part}`
    const name = `${stage}.model.${index}`
    const width = index % 2 === 0 ? channels : this.#config.scale * channels
    const conv = (
      source: OperationId,
      part: string,
      out: number,
      kernel: KernelShape,
      groups = 1,
    ): OperationId => this.#convolution(source, tensor(part), out, kernel, `${name}.${part}`, groups)
    const l = conv(conv(x, 'L1', width, SAME_3X3, channels), 'L2', width, POINTWISE)
    const r = conv(conv(x, 'R1', width, POINTWISE), 'R2', width, SAME_3X3, width)
    const q = this.#product(l, r, tensor, name)
    const branch = this.#channelNorm(conv(q, 'Pro', channels, POINTWISE), tensor('norm3'), `${name}.norm3`)
    const [alpha] = this.#tensors.take(tensor('alpha'), [1])
    const scaled = list.scale(alpha, branch, `${name}.alpha`, [])
    return list.add(x, scaled, name, isLast ? [name, stage] : undefined)
  }

  #product(l: OperationId, r: OperationId, tensor: (part: string) => string, name: string): OperationId {
    const list = this.#list
    if (this.#form === 'branches') {
      const left = this.#channelNorm(l, tensor('norm1'), `${name}.norm1`)
      const right = this.#channelNorm(r, tensor('norm2'), `${name}.norm2`)
      return list.multiply(left, right, `${name}.product`)
    }
    const product = list.multiply(l, r, `${name}.product`)
    const [channels, height, width] = list.shape(product)
    const betas = this.#tensors.has(`${tensor('norm1')}.beta_c`)
    const norm = readPositionNorm(this.#tensors, tensor('norm1'), channels, { height, width }, betas)
    return list.norm(norm, product, `${name}.norm1`)
  }

  /** Reads a convolution with a bias, and appends it. */
  #convolution(
    source: OperationId,
    tensor: string,
    outChannels: number,
    kernel: KernelShape,
    name: string,
    groups = 1,
  ): OperationId {
    const [inChannels] = this.#list.shape(source)
    const layer = readConvolution(this.#tensors, tensor, inChannels, outChannels, kernel, {
      groups,
      bias: true,
    })
    return this.#list.convolution(layer, source, name)
  }

  #channelNorm(source: OperationId, tensor: string, name: string): OperationId {
    const [channels] = this.#list.shape(source)
    return this.#list.norm(readChannelNorm(this.#tensors, tensor, channels), source, name)
  }
}

/** The form that the checkpoint shows: `norm2` is there, or `norm1` belongs to positions. */
function formOf({ form, transitions }: DttnConfig, tensors: TensorSource): 'branches' | 'product' {
  // The first child of the network is a convolution where the first stage begins with one.
  const block = `network.${transitions[0] ? 1 : 0}.model.0.0`
  const isProduct = tensors.has(`${block}.norm1.gamma_hw`) && !tensors.has(`${block}.norm2.weight`)
  const isBranches = tensors.has(`${block}.norm2.weight`)
  const shown = isProduct ? 'product' : isBranches ? 'branches' : undefined
  if (form !== null && shown !== undefined && shown !== form) {
    throw invalidConfig('form', `it is ${form}, but the checkpoint has the norms of ${shown}`)
  }
  // Where the checkpoint shows neither form, the first tensor that is missing gets named.
  return form ?? shown ?? 'branches'
}
