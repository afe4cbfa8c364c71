import { PolyVeilError } from '../../errors/index.ts'
import { type Network, type Operation, type OperationId, sourcesOf } from '../network.ts'
import { IMAGE_CHANNELS } from '../operation-list.ts'
import { attend } from './attend.ts'
import { convolve } from './convolve.ts'
import { normalise } from './normalise.ts'
import { shiftQuarters } from './shift.ts'
import { sigmoid } from './sigmoid.ts'
import { channelRange, combine, flipChannels, scaled, scaledChannels, type Tensor } from './tensor.ts'

/** Called with every named tensor as soon as it is there. It must not change the tensor. */
export type Observer = (name: string, tensor: { shape: readonly number[]; data: Float64Array }) => void

/**
 * The network in the clear, in float64. Every encrypted result is compared with it. It computes the
 * operations one by one as the family describes them, and shares no code with the compiler's graph.
 *
 * Observers see the tensors under the names that operations give them; `operations.ts` of each family lists
 * them. The last are `head.pool` [C, 1, 1], the mean over all positions, and `logits` [classes].
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
  const image = inputTensor(network, input)
  const lastReader = lastReaders(network.operations)
  const tensors: (Tensor | undefined)[] = []
  let logits: Float64Array = new Float64Array()
  for (const [id, operation] of network.operations.entries()) {
    const sources = sourcesOf(operation).map((source) => tensors[source]!)
    if (operation.kind === 'classify') {
      logits = classify(operation, sources[0], observe)
    } else {
      const tensor = computed(operation, sources, image)
      tensors[id] = tensor
      for (const name of operation.tensors ?? [operation.name]) observe(name, tensor)
    }
    // Tensors that nothing reads any more are released.
    for (const source of sourcesOf(operation)) if (lastReader[source] === id) tensors[source] = undefined
  }
  return logits
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

function lastReaders(operations: readonly Operation[]): OperationId[] {
  const last: OperationId[] = []
  for (const [id, operation] of operations.entries()) {
    for (const source of sourcesOf(operation)) last[source] = id
  }
  return last
}

type Computed = Exclude<Operation, { kind: 'classify' }>

/** The tensor of an operation from those of its operands. */
function computed(operation: Computed, [x, y, z]: readonly Tensor[], image: Tensor): Tensor {
  switch (operation.kind) {
    case 'input':
      return image
    case 'convolution':
      return convolve(operation.layer, x)
    case 'norm':
      return normalise(operation.norm, x)
    case 'scaleChannels':
      return scaledChannels(x, operation.scale)
    case 'scale':
      return scaled(x, operation.factor)
    case 'sigmoidScale':
      return scaled(x, sigmoid(operation.skip))
    case 'flip':
      return flipChannels(x)
    case 'slice':
      return channelRange(x, operation.start, operation.start + operation.shape[0])
    case 'shift':
      return shiftQuarters(x)
    case 'add':
      return combine(x, y, (a, b) => a + b)
    case 'multiply':
      return combine(x, y, (a, b) => a * b)
    case 'attention':
      return attend(operation.layer, x, y, z)
  }
}

type Classification = Extract<Operation, { kind: 'classify' }>

function classify({ weight, bias }: Classification, x: Tensor, observe: Observer): Float64Array {
  const pooled = averagePool(x)
  observe('head.pool', pooled)
  const logits = Float64Array.from(bias, (start, k) =>
    pooled.data.reduce((sum, value, c) => sum + weight[k * pooled.data.length + c] * value, start),
  )
  observe('logits', { shape: [logits.length], data: logits })
  return logits
}

function averagePool({ shape: [channels, height, width], data }: Tensor): Tensor {
  const map = height * width
  const means = new Float64Array(channels)
  for (let c = 0; c < channels; c++) {
    means[c] = data.subarray(c * map, (c + 1) * map).reduce((sum, x) => sum + x, 0) / map
  }
  return { shape: [channels, 1, 1], data: means }
}
