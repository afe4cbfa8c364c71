import type { Network, PolyNorm } from '../../../src/models/index.ts'

/** The norms of a network, by the name of their input in the float reference's observer. */
export function normsByInput({ cells, norm }: Network): Map<string, PolyNorm> {
  const norms = new Map<string, PolyNorm>()
  cells.forEach((cell, i) => {
    norms.set(`cells.${i}.sum`, cell.norm)
    cell.stacks.forEach(({ conv, mlp }, j) => {
      norms.set(`cells.${i}.stack.${j}.conv.out`, conv.norm)
      norms.set(`cells.${i}.stack.${j}.mlp.product`, mlp.norm)
    })
  })
  norms.set(`cells.${cells.length - 1}`, norm)
  return norms
}

/** Sums over the channels of one image, for each position. */
export interface PositionSums {
  readonly sums: Float64Array
  readonly squares: Float64Array
}

/** @param data [channels, H, W] @param into arrays of H * W positions, overwritten */
export function sumOverChannels(data: Float64Array, { sums, squares }: PositionSums): void {
  const map = sums.length
  sums.fill(0)
  squares.fill(0)
  for (let i = 0; i < data.length; i++) {
    sums[i % map] += data[i]
    squares[i % map] += data[i] * data[i]
  }
}

/** Writes a norm's running statistics: mean and variance of each position over the channels of all images. */
export function setStatistics({ channels, mean, variance }: PolyNorm, images: readonly PositionSums[]): void {
  const count = channels * images.length
  for (let s = 0; s < mean.length; s++) {
    mean[s] = images.reduce((total, { sums }) => total + sums[s], 0) / count
    const square = images.reduce((total, { squares }) => total + squares[s], 0) / count
    variance[s] = Math.max(0, square - mean[s] ** 2)
  }
}
