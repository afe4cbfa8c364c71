import type { NetworkConfig } from './config.ts'
import { outputSize } from './kernel.ts'
import type { Convolution, Norm, PolyAttention } from './layers.ts'
import type { Operation, OperationId, OperationKind, OperationOf, Shape } from './network.ts'

export const IMAGE_CHANNELS = 3

/** Names of a tensor for observers; see `tensors` of operations. */
type Names = readonly string[] | undefined

/**
 * Appends the operations of a network in the order of computation. Shapes follow from operands and layers.
 */
export class OperationList {
  readonly operations: Operation[] = []

  /** @param image its size */
  constructor({ height, width }: NetworkConfig['inputSize']) {
    this.#add({ kind: 'input', name: 'input', shape: [IMAGE_CHANNELS, height, width] })
  }

  /** The image. */
  readonly input: OperationId = 0

  shape(id: OperationId): Shape {
    return this.operations[id].shape
  }

  convolution(layer: Convolution, source: OperationId, name: string, tensors?: Names): OperationId {
    const [, height, width] = this.shape(source)
    const shape: Shape = [layer.outChannels, outputSize(height, layer), outputSize(width, layer)]
    return this.#add({ kind: 'convolution', name, source, layer, shape, tensors })
  }

  norm(norm: Norm, source: OperationId, name: string, tensors?: Names): OperationId {
    return this.#add({ kind: 'norm', name, source, norm, shape: this.shape(source), tensors })
  }

  scaleChannels(scale: Float32Array, source: OperationId, name: string, tensors?: Names): OperationId {
    return this.#add({ kind: 'scaleChannels', name, source, scale, shape: this.shape(source), tensors })
  }

  scale(factor: number, source: OperationId, name: string, tensors?: Names): OperationId {
    return this.#add({ kind: 'scale', name, source, factor, shape: this.shape(source), tensors })
  }

  sigmoidScale(skip: number, source: OperationId, name: string, tensors?: Names): OperationId {
    return this.#add({ kind: 'sigmoidScale', name, source, skip, shape: this.shape(source), tensors })
  }

  flip(source: OperationId, name: string, tensors?: Names): OperationId {
    return this.#add({ kind: 'flip', name, source, shape: this.shape(source), tensors })
  }

  shift(source: OperationId, name: string, tensors?: Names): OperationId {
    return this.#add({ kind: 'shift', name, source, shape: this.shape(source), tensors })
  }

  /** The first or the second half of the channels. */
  half(source: OperationId, which: 0 | 1, name: string, tensors?: Names): OperationId {
    const [channels, height, width] = this.shape(source)
    const shape: Shape = [channels / 2, height, width]
    return this.#add({ kind: 'slice', name, source, start: (which * channels) / 2, shape, tensors })
  }

  /** @throws when the shapes differ, which a family's config has to exclude */
  #commonShape(name: string, left: OperationId, right: OperationId): Shape {
    const [a, b] = [this.shape(left), this.shape(right)]
    if (a.join() !== b.join()) throw new Error(`${name} combines the shapes [${a}] and [${b}]`)
    return a
  }

  add(left: OperationId, right: OperationId, name: string, tensors?: Names): OperationId {
    return this.#add({ kind: 'add', name, left, right, shape: this.#commonShape(name, left, right), tensors })
  }

  multiply(left: OperationId, right: OperationId, name: string, tensors?: Names): OperationId {
    const shape = this.#commonShape(name, left, right)
    return this.#add({ kind: 'multiply', name, left, right, shape, tensors })
  }

  attention(
    layer: PolyAttention,
    [query, key, value]: readonly [query: OperationId, key: OperationId, value: OperationId],
    name: string,
  ): OperationId {
    return this.#add({ kind: 'attention', name, query, key, value, layer, shape: this.shape(value) })
  }

  /** Ends the network: the mean over all positions, then a linear map. */
  classify(
    { weight, bias }: Pick<OperationOf<'classify'>, 'weight' | 'bias'>,
    source: OperationId,
  ): readonly Operation[] {
    this.#add({ kind: 'classify', name: 'head', source, weight, bias, shape: [bias.length, 1, 1] })
    return this.operations
  }

  #add<K extends OperationKind>(operation: OperationOf<K>): OperationId {
    return this.operations.push(operation) - 1
  }
}
