import { invalidConfig } from '../../invalid-config.ts'
import { HALVING_3X3 } from '../../kernel.ts'
import {
  readChannelNorm,
  readConvolution,
  readLinear,
  readPointwiseLinear,
  readPositionNorm,
} from '../../layer-reader.ts'
import type { Norm } from '../../layers.ts'
import type { Operation, OperationId } from '../../network.ts'
import { OperationList } from '../../operation-list.ts'
import type { TensorSource } from '../../tensor-reader.ts'
import { patchStem, type StageGeometry } from '../stages.ts'
import { type MonetConfig, RANK_PART } from './config.ts'

/**
 * The operations of a MONet network (Cheng, Chrysos, Georgopoulos and Cevher, ICLR 2024, arXiv 2401.17992).
 *
 * Names that observers of the float reference see, in order of computation:
 * - `input`, `fs`, `stem`, the output of `fs2`;
 * - for block j of child k of `network`, below `network.k.model.j` and then `.mlp1` and `.mlp2`: `.norm`, the
 *   norm of x, `.U1`, `.U2`, in mlp1 `.shift1` and `.shift2`, then `.U3`, `.norm1`, `.norm3`, `.product`,
 *   `.gate`, `.C`, and `network.k.model.j.mlp1` or `.mlp2` itself, x after the residual;
 * - `network.k`, the output of a stage, or of the convolution between two stages; then `head.pool` and
 *   `logits`.
 *
 * @throws CONFIG_INVALID when a field contradicts the checkpoint; what `TensorSource` throws
 */
export const monetOperations = (config: MonetConfig, tensors: TensorSource): readonly Operation[] =>
  new Blocks(config, tensors).network()

class Blocks {
  readonly #config: MonetConfig
  readonly #tensors: TensorSource
  readonly #list: OperationList
  readonly #readNorm: NormReader

  constructor(config: MonetConfig, tensors: TensorSource) {
    this.#config = config
    this.#tensors = tensors
    this.#list = new OperationList(config.inputSize)
    this.#readNorm = normReader(config, tensors)
  }

  network(): readonly Operation[] {
    const { geometry, layers, stemKernel, classes } = this.#config
    const list = this.#list
    let x = patchStem(list, this.#tensors, geometry[0].channels, stemKernel)
    for (const [i, stage] of geometry.entries()) {
      if (i > 0) x = this.#between(x, `network.${2 * i - 1}`, stage.channels)
      for (let j = 0; j < layers[i]; j++) {
        x = this.#block(x, `network.${2 * i}`, j, stage, j === layers[i] - 1)
      }
    }
    const { channels } = geometry[geometry.length - 1]
    return list.classify(readLinear(this.#tensors, 'head.1', channels, classes), x)
  }

  #between(x: OperationId, name: string, channels: number): OperationId {
    const [inChannels] = this.#list.shape(x)
    const layer = readConvolution(this.#tensors, `${name}.proj`, inChannels, channels, HALVING_3X3, {
      bias: true,
    })
    return this.#list.convolution(layer, x, name)
  }

  /** x += mlp1(norm(x)), then x += mlp2(norm(x)) with the same norm. */
  #block(
    x: OperationId,
    stage: string,
    index: number,
    geometry: StageGeometry,
    isLast: boolean,
  ): OperationId {
    const name = `${stage}.model.${index}`
    const tensor = `${name}.0`
    const { channels } = geometry
    const norm = this.#readNorm(`${tensor}.norm`, channels, geometry)
    const mixed = this.#mlp(x, norm, [`${tensor}.mlp1`, `${name}.mlp1`], channels, geometry, true)
    const seenAs = isLast ? [`${name}.mlp2`, stage] : undefined
    const width = this.#config.expansion * channels
    return this.#mlp(mixed, norm, [`${tensor}.mlp2`, `${name}.mlp2`], width, geometry, false, seenAs)
  }

  /** x + C(a + alpha * a * b) of norm(x), b of low rank; both branches are shifted in the first half. */
  #mlp(
    x: OperationId,
    norm: Norm,
    [tensor, name]: readonly [tensor: string, name: string],
    width: number,
    geometry: StageGeometry,
    isShifted: boolean,
    seenAs?: readonly string[],
  ): OperationId {
    const list = this.#list
    const linear = (source: OperationId, part: string, outputs: number): OperationId => {
      const [inputs] = list.shape(source)
      return list.convolution(
        readPointwiseLinear(this.#tensors, `${tensor}.${part}`, inputs, outputs),
        source,
        `${name}.${part}`,
      )
    }
    const shifted = (source: OperationId, part: string): OperationId =>
      isShifted ? list.shift(source, `${name}.${part}`) : source
    const normed = (source: OperationId, part: string): OperationId =>
      list.norm(this.#readNorm(`${tensor}.${part}`, width, geometry), source, `${name}.${part}`)
    const input = list.norm(norm, x, `${name}.norm`)
    const a = normed(shifted(linear(input, 'U1', width), 'shift1'), 'norm1')
    const b = normed(linear(shifted(linear(input, 'U2', width / RANK_PART), 'shift2'), 'U3', width), 'norm3')
    const [alpha] = this.#tensors.take(`${tensor}.alpha`, [1])
    const product = list.multiply(a, b, `${name}.product`)
    const gate = list.add(a, list.scale(alpha, product, `${name}.alpha`, []), `${name}.gate`)
    return list.add(x, linear(gate, 'C', geometry.channels), name, seenAs)
  }
}

/** Reads a norm of the kind that all norms of a network have. */
type NormReader = (name: string, channels: number, geometry: StageGeometry) => Norm

/** The kind of norm that the config states, or that the checkpoint shows. */
function normReader({ norm, normBias }: MonetConfig, tensors: TensorSource): NormReader {
  const first = 'network.0.model.0.0.norm'
  const hasBetas = tensors.has(`${first}.beta_c`)
  const shownNorm = tensors.has(`${first}.gamma_hw`)
    ? 'position'
    : tensors.has(`${first}.running_mean`)
      ? 'channel'
      : undefined
  if (norm !== null && shownNorm !== undefined && norm !== shownNorm) {
    throw invalidConfig('norm', `it is ${norm}, but the checkpoint has norms of each ${shownNorm}`)
  }
  const kind = norm ?? shownNorm ?? 'position'
  if (kind === 'channel') {
    if (normBias === false)
      throw invalidConfig('norm_bias', 'it is false, but norms of each channel have a bias')
    return (name, channels) => readChannelNorm(tensors, name, channels)
  }
  if (shownNorm === 'position' && normBias !== null && normBias !== hasBetas) {
    throw invalidConfig(
      'norm_bias',
      `it is ${normBias}, but the checkpoint ${hasBetas ? 'has' : 'has no'} beta_c`,
    )
  }
  const betas = normBias ?? hasBetas
  return (name, channels, geometry) => readPositionNorm(tensors, name, channels, geometry, betas)
}
