/** Size of a convolution's kernel and how it moves. */
export interface KernelShape {
  readonly kernel: number
  readonly stride: number
  readonly padding: number
  readonly dilation: number
}

export const POINTWISE: KernelShape = { kernel: 1, stride: 1, padding: 0, dilation: 1 }
/** A 3x3 that keeps the map's size. */
export const SAME_3X3: KernelShape = { kernel: 3, stride: 1, padding: 1, dilation: 1 }
/** A 5x5 that keeps the map's size. */
export const SAME_5X5: KernelShape = { kernel: 5, stride: 1, padding: 2, dilation: 1 }
/** A 3x3 that halves the map; an odd row and column are kept. */
export const HALVING_3X3: KernelShape = { kernel: 3, stride: 2, padding: 1, dilation: 1 }
/** A 2x2 that halves the map; an odd row and column are dropped. */
export const HALVING_2X2: KernelShape = { kernel: 2, stride: 2, padding: 0, dilation: 1 }

/** Height or width after a convolution; below 1 when the kernel does not fit. */
export const outputSize = (size: number, { kernel, stride, padding, dilation }: KernelShape): number =>
  Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1
