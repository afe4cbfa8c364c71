import type { LayerInfo } from '../../../circuit/types.ts'

/** A layer as lowering knows it; the plan's figures come later. */
export interface LoweredLayer extends Pick<LayerInfo, 'name' | 'kind' | 'shape' | 'slotsUsed'> {
  /** Interleave of the tensor that the layer reads. The layer's rotation strategy depends on it. */
  readonly interleave: number
}

/** The layers of a circuit in the order in which they are lowered. */
export class LayerList {
  readonly layers: LoweredLayer[] = []

  /** Index of the layer that new operations belong to. */
  get current(): number {
    return this.layers.length - 1
  }

  /** Starts a layer. */
  start(layer: LoweredLayer): void {
    this.layers.push(layer)
  }

  /** Removes all layers from index `length` on. */
  truncate(length: number): void {
    this.layers.length = length
  }
}
