import type { NetworkConfig } from './config.ts'
import type { Convolution, Norm, PolyAttention } from './layers.ts'

/** Index of an operation in `Network.operations`; sources have smaller indices than their readers. */
export type OperationId = number

/** [channels, height, width] of an operation's tensor. */
export type Shape = readonly [channels: number, height: number, width: number]

interface Base {
  readonly name: string
  readonly shape: Shape
  /**
   * Names under which observers of the float reference see the tensor, in order. Absent means the operation's
   * own name; empty means that observers do not see it.
   */
  readonly tensors?: readonly string[]
}

interface Unary extends Base {
  readonly source: OperationId
}

interface Binary extends Base {
  readonly left: OperationId
  readonly right: OperationId
}

/**
 * The float operations that networks consist of. A family describes its networks by them; the float reference
 * computes them, and the compiler turns each into nodes of its graph.
 */
export type Operation =
  | (Base & { readonly kind: 'input' })
  | (Unary & { readonly kind: 'convolution'; readonly layer: Convolution })
  | (Unary & { readonly kind: 'norm'; readonly norm: Norm })
  /** scale[c] * x */
  | (Unary & { readonly kind: 'scaleChannels'; readonly scale: Float32Array })
  /** factor * x, with a learned factor. */
  | (Unary & { readonly kind: 'scale'; readonly factor: number })
  /** sigmoid(skip) * x */
  | (Unary & { readonly kind: 'sigmoidScale'; readonly skip: number })
  /** Reverses the channel axis. */
  | (Unary & { readonly kind: 'flip' })
  /** Channels start .. start + shape[0] - 1. */
  | (Unary & { readonly kind: 'slice'; readonly start: number })
  /**
   * Moves the quarters of the channels down, up, right and left by one position. The row or column at the
   * border that has no source keeps its own value.
   */
  | (Unary & { readonly kind: 'shift' })
  | (Binary & { readonly kind: 'add' })
  /** Element-wise product. */
  | (Binary & { readonly kind: 'multiply' })
  /** Attention of each position of the query to all positions of the key, applied to the value. */
  | (Base & {
      readonly kind: 'attention'
      readonly query: OperationId
      readonly key: OperationId
      readonly value: OperationId
      readonly layer: PolyAttention
    })
  /** weight [classes, C] * (mean over positions) + bias [classes]; shape [classes, 1, 1]. */
  | (Unary & {
      readonly kind: 'classify'
      readonly weight: Float32Array
      readonly bias: Float32Array
    })

export type OperationKind = Operation['kind']
export type OperationOf<K extends OperationKind> = Extract<Operation, { kind: K }>

/** A validated network: every tensor is there and has the shape that the config prescribes. */
export interface Network {
  readonly config: NetworkConfig
  /** Size of the preprocessed image; channels are 3. */
  readonly height: number
  readonly width: number
  readonly classes: number
  /** In the order of computation. The first is the input, the last the classification. */
  readonly operations: readonly Operation[]
}

/** The operands of an operation, in order. */
export function sourcesOf(operation: Operation): OperationId[] {
  if (operation.kind === 'input') return []
  if (operation.kind === 'attention') return [operation.query, operation.key, operation.value]
  return 'left' in operation ? [operation.left, operation.right] : [operation.source]
}
