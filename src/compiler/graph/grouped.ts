import type { Convolution } from '../../models/layers.ts'

// The graph has two kinds of convolutions: dense ones, and those with one filter for each output, where
// output o reads input o mod groups. PyTorch's order of a grouped convolution with several outputs for each
// input is another one: output o reads input floor(o / outputs). In the graph's order, outputs lie in blocks
// as long as the input, so that each ciphertext of outputs reads one ciphertext of inputs where their
// channels divide.

/** Outputs for each input of a convolution with one input in each group; 1 for all other convolutions. */
export const outputsPerInput = ({ groups, inChannels, outChannels }: Convolution): number =>
  groups > 1 && groups === inChannels ? outChannels / inChannels : 1

/** The convolution with its outputs in blocks. */
export function inBlocks(layer: Convolution): Convolution {
  const order = blockOrder(layer.outChannels, outputsPerInput(layer))
  return { ...layer, weight: gathered(layer.weight, order), bias: layer.bias && gathered(layer.bias, order) }
}

/**
 * A dense convolution that reads outputs in blocks. @param outputs for each input of the convolution before
 */
export function readingBlocks(layer: Convolution, outputs: number): Convolution {
  const order = blockOrder(layer.inChannels, outputs)
  const row = layer.weight.length / layer.outChannels
  const weight = new Float32Array(layer.weight.length)
  for (let o = 0; o < layer.outChannels; o++) {
    weight.set(gathered(layer.weight.subarray(o * row, (o + 1) * row), order), o * row)
  }
  return { ...layer, weight }
}

/** The same map as a dense convolution, with zeros between the groups. */
export function ungrouped(layer: Convolution): Convolution {
  const { groups, inChannels, outChannels, kernel } = layer
  const inputs = inChannels / groups
  const outputs = outChannels / groups
  const taps = kernel ** 2
  const weight = new Float32Array(outChannels * inChannels * taps)
  for (let o = 0; o < outChannels; o++) {
    const first = Math.floor(o / outputs) * inputs
    const row = layer.weight.subarray(o * inputs * taps, (o + 1) * inputs * taps)
    weight.set(row, (o * inChannels + first) * taps)
  }
  return { ...layer, groups: 1, weight }
}

/** PyTorch's channel of each channel in blocks. */
function blockOrder(channels: number, outputs: number): number[] {
  const inputs = channels / outputs
  return Array.from({ length: channels }, (_, o) => (o % inputs) * outputs + Math.floor(o / inputs))
}

/** Parts of equal length in another order. */
function gathered(values: Float32Array, order: readonly number[]): Float32Array {
  const length = values.length / order.length
  const out = new Float32Array(values.length)
  for (const [to, from] of order.entries()) {
    out.set(values.subarray(from * length, (from + 1) * length), to * length)
  }
  return out
}
