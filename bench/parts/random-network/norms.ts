import { isPositionNorm, type Network, type Norm } from '../../../src/models/index.ts'

/**
 * The norms of a network, by the name of their input in the float reference's observer. A norm that is used
 * several times has the name of its first input.
 */
export function normsByInput({ operations }: Network): Map<string, Norm> {
  const norms = new Map<string, Norm>()
  const seen = new Set<Norm>()
  for (const operation of operations) {
    if (operation.kind !== 'norm' || seen.has(operation.norm)) continue
    const source = operations[operation.source]
    const [name] = source.tensors?.slice(-1) ?? [source.name]
    norms.set(name, operation.norm)
    seen.add(operation.norm)
  }
  return norms
}

/** Sums over the elements of one image that share a statistic: those of a position, or those of a channel. */
export interface ElementSums {
  readonly sums: Float64Array
  readonly squares: Float64Array
}

/** @param data [channels, H, W] @param into arrays of one element for each statistic, overwritten */
export function sumElements(norm: Norm, data: Float64Array, { sums, squares }: ElementSums): void {
  const statistics = sums.length
  const area = data.length / norm.channels
  const isPosition = isPositionNorm(norm)
  sums.fill(0)
  squares.fill(0)
  for (let i = 0; i < data.length; i++) {
    const s = isPosition ? i % statistics : Math.floor(i / area)
    sums[s] += data[i]
    squares[s] += data[i] * data[i]
  }
}

/**
 * Writes a norm's running statistics: mean and variance over the elements of all images that share them.
 *
 * @param elements of one image that share a statistic
 */
export function setStatistics(
  { mean, variance }: Norm,
  elements: number,
  images: readonly ElementSums[],
): void {
  const count = elements * images.length
  for (let s = 0; s < mean.length; s++) {
    mean[s] = images.reduce((total, { sums }) => total + sums[s], 0) / count
    const square = images.reduce((total, { squares }) => total + squares[s], 0) / count
    variance[s] = Math.max(0, square - mean[s] ** 2)
  }
}
