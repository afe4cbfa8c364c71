import type { Checkpoint, CheckpointTensor, Network } from '../../models/index.ts'

/** Mantissa bits and smallest exponent of the datatypes that training rounds weights to. */
const HALVES = {
  F16: { name: 'float16', mantissa: 10, leastExponent: -14 },
  BF16: { name: 'bfloat16', mantissa: 7, leastExponent: -126 },
} as const

type Half = (typeof HALVES)[keyof typeof HALVES]

/** Effect of the rounding of stored weights on logits. */
export interface Rounding {
  /** "float16", "bfloat16", or both. */
  readonly datatype: string
  /** Largest change of a logit when weights are moved within their rounding intervals. */
  readonly maxAbsError: number
}

/** Passes, each with other weights, and images that they are measured on. */
const PASSES = 2
const MOST_IMAGES = 2

/**
 * Measures the effect of weights stored in half precision on logits: moves each weight at random within the
 * interval that rounds to it, which contains the weight of training.
 *
 * @param inputs images [3, H, W], at least one
 * @returns undefined when no tensor is stored in half precision
 * @throws as `loadNetwork`
 */
export async function halfPrecisionRounding(
  checkpoint: Checkpoint,
  network: Network,
  inputs: readonly Float64Array[],
): Promise<Rounding | undefined> {
  const names = new Set([...checkpoint.values()].flatMap((tensor) => halfOf(tensor)?.name ?? []))
  if (names.size === 0) return undefined
  const { loadNetwork, referenceForward } = await import('../../models/index.ts')
  const random = seeded()
  let largest = 0
  for (let pass = 0; pass < PASSES; pass++) {
    const moved = loadNetwork(movedWeights(checkpoint, random), network.config)
    for (const image of inputs.slice(0, MOST_IMAGES)) {
      const logits = referenceForward(network, image)
      referenceForward(moved, image).forEach((logit, k) => {
        largest = Math.max(largest, Math.abs(logit - logits[k]))
      })
    }
  }
  return { datatype: [...names].join(' and '), maxAbsError: largest }
}

const halfOf = ({ datatype }: CheckpointTensor): Half | undefined =>
  datatype === 'F16' || datatype === 'BF16' ? HALVES[datatype] : undefined

const movedWeights = (checkpoint: Checkpoint, random: () => number): Checkpoint =>
  new Map(
    [...checkpoint].map(([name, tensor]) => {
      const half = halfOf(tensor)
      if (half === undefined) return [name, tensor]
      return [
        name,
        { ...tensor, data: tensor.data.map((value) => value + step(value, half) * (random() - 0.5)) },
      ]
    }),
  )

/**
 * Gap between a value and the next one of the datatype; 0 for values below the smallest exponent, whose sign
 * a move could change.
 */
function step(value: number, { mantissa, leastExponent }: Half): number {
  const exponent = Math.floor(Math.log2(Math.abs(value)))
  return exponent < leastExponent ? 0 : 2 ** (exponent - mantissa)
}

/** Deterministic numbers in [0, 1), from a 32-bit linear congruential generator. */
function seeded(): () => number {
  let state = 1
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
