import type { CheckpointTensor, NetworkConfig } from '../../../src/models/index.ts'
import { syntheticCheckpoint } from '../../../test/models/support/checkpoint.ts'

/** A checkpoint whose tensors are in shared memory and can still change. */
export type SharedCheckpoint = Map<string, CheckpointTensor>

/** Mean and spread of scales and gammas, which start at 1 and change little in training. */
const GAMMA = 0.985
const GAMMA_SPREAD = 0.05

/**
 * Random weights in the released layout. Convolutions keep the size of their input; scales, gammas and
 * Sigmoid-Scales are as in trained networks. Norms do not normalise yet: mean 0, variance 1.
 *
 * @param seed different seeds give different networks
 */
export function randomWeights(config: NetworkConfig, seed: number): SharedCheckpoint {
  const tensors: SharedCheckpoint = new Map()
  for (const [name, { shape, data }] of syntheticCheckpoint(config, seed)) {
    const value = valueIn(name, shape)
    const shared = new Float32Array(new SharedArrayBuffer(data.byteLength))
    for (let i = 0; i < data.length; i++) shared[i] = value(data[i], i)
    tensors.set(name, { shape, data: shared })
  }
  return tensors
}

/** The function for a tensor's values, by the tensor's name. */
function valueIn(name: string, shape: readonly number[]): (x: number, index: number) => number {
  if (/\.(gamma_c|gamma_hw|scale)$/.test(name)) return (x) => GAMMA + 2 * GAMMA_SPREAD * (x - 1)
  if (name.endsWith('.running_mean') || name === 'head.3.bias') return () => 0
  if (name.endsWith('.running_var')) return () => 1
  if (name.endsWith('.skip_weight')) return (_, k) => logit(branchRatio(k))
  if (name === 'head.3.weight') return (x) => x * Math.sqrt(3 / shape[1])
  return (x) => x
}

/**
 * Share of the k-th branch. Trained networks have 1/2, 1/2, 1/4, 1/8, …, and have learnt to keep all images
 * in bounds. In a random network the branches, which have degree two, double the deviation of an image from
 * the norms' statistics. Images then diverge within a few cells. A quarter of that weight prevents this.
 */
const branchRatio = (k: number): number => 2 ** -Math.max(3, k + 2)

/** The inverse of the sigmoid. */
const logit = (p: number): number => Math.log(p / (1 - p))
