import {
  type CheckpointTensor,
  familyOf,
  type NetworkConfig,
  type TensorSource,
} from '../../../src/models/index.ts'
import { numbers } from '../../../test/models/support/checkpoint.ts'

/** A checkpoint whose tensors are in shared memory and can still change. */
export type SharedCheckpoint = Map<string, CheckpointTensor>

/** Channels of a head of APolyNeXt's attention. */
const HEAD_CHANNELS = 32
/**
 * Share of the size of attention's input that q and k have. Scores are then small before their fourth power,
 * as they have to be: with larger ones, held-out images diverge.
 */
const QUERY_SHARE = 1 / 6

/** Mean and spread of scales and gammas, which start at 1 and change little in training. */
const GAMMA = 0.985
const GAMMA_SPREAD = 0.05
/** Spread of biases and betas, which start at 0. */
const BIAS_SPREAD = 0.05

/**
 * Random weights in the public layout of the config's family. Convolutions keep the size of their input;
 * scales, gammas, betas and the shares of branches are as in trained networks. Norms do not normalise yet:
 * mean 0, variance 1.
 *
 * @param seed different seeds give different networks
 */
export function randomWeights(config: NetworkConfig, seed: number): SharedCheckpoint {
  const source = new RandomTensors(seed)
  familyOf(config).operations(config, source)
  return source.tensors
}

/** Makes each tensor that a family reads when it is read. */
class RandomTensors implements TensorSource {
  readonly tensors: SharedCheckpoint = new Map()
  readonly #next: () => number

  constructor(seed: number) {
    this.#next = numbers(seed)
  }

  /** Networks are made from their configs, which say everything. */
  has(): boolean {
    return false
  }

  take(name: string, shape: readonly number[]): Float32Array {
    const size = shape.reduce((product, n) => product * n, 1)
    const data = new Float32Array(new SharedArrayBuffer(size * Float32Array.BYTES_PER_ELEMENT))
    const value = valueIn(name, shape)
    for (let i = 0; i < size; i++) data[i] = value(this.#next(), i)
    this.tensors.set(name, { shape, data })
    return data
  }

  takeVariance(name: string, shape: readonly number[]): Float32Array {
    return this.take(name, shape)
  }

  takeDenominator(name: string, shape: readonly number[]): Float32Array {
    return this.take(name, shape)
  }
}

/** The function for a tensor's values from random numbers in [-1, 1), by the tensor's name. */
function valueIn(name: string, shape: readonly number[]): (x: number, index: number) => number {
  const isVector = shape.length === 1
  // Scores are about 1, so that rows of attention add up to the number of positions.
  if (name.endsWith('.running_denom')) return () => shape[2]
  if (/\.ops\.\d+\.1\.scale$/.test(name)) return () => logit(1 / Math.sqrt(HEAD_CHANNELS))
  if (/\.(gamma|gamma_c|gamma_hw|scale)$/.test(name)) return (x) => GAMMA + GAMMA_SPREAD * x
  if (/^head\.\d+\.bias$/.test(name) || name.endsWith('.running_mean')) return () => 0
  if (name.endsWith('.running_var')) return () => 1
  if (name.endsWith('.skip_weight')) return (_, k) => logit(branchRatio(k))
  if (name.endsWith('.alpha')) return () => alphaOf(name)
  if (isVector && name.endsWith('.weight')) return (x) => GAMMA + GAMMA_SPREAD * x
  if (isVector || /\.beta_(c|hw)$/.test(name)) return (x) => BIAS_SPREAD * x
  const [, ...inputs] = shape
  const fanIn = inputs.reduce((product, n) => product * n, 1)
  return (x) => x * Math.sqrt(3 / fanIn) * shareOf(name)
}

/**
 * The factor of DTTN's branches, and of the product in MONet's gates. DTTN has up to 56 branches on one path,
 * so each has less weight than those of other networks.
 */
const alphaOf = (name: string): number => (/\.mlp\d\.alpha$/.test(name) ? branchRatio(0) : branchRatio(0) / 4)

/** MONet's branches have no factor of their own: their last layer has the share of a branch. */
function shareOf(name: string): number {
  if (/\.[qk]_conv\.weight$/.test(name)) return QUERY_SHARE
  return /\.mlp\d\.C\.weight$/.test(name) ? branchRatio(0) : 1
}

/**
 * Share of the k-th branch. Trained networks have 1/2, 1/2, 1/4, 1/8, …, and have learnt to keep all images
 * in bounds. In a random network the branches, which have degree two, double the deviation of an image from
 * the norms' statistics. Images then diverge within a few cells. A quarter of that weight prevents this.
 */
const branchRatio = (k: number): number => 2 ** -Math.max(3, k + 2)

/** The inverse of the sigmoid. */
const logit = (p: number): number => Math.log(p / (1 - p))
