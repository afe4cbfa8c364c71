import type { Network, PolyAttention } from '../../../src/models/index.ts'

/** Attention of a network, and the names under which observers of the float reference see its operands. */
export interface ObservedAttention {
  readonly layer: PolyAttention
  readonly query: string
}

/** The attentions of a network, by the name of their key. The reference computes it after the query. */
export function attentionsByKey({ operations }: Network): Map<string, ObservedAttention> {
  const nameOf = (id: number): string => operations[id].tensors?.at(-1) ?? operations[id].name
  return new Map(
    operations.flatMap((operation) =>
      operation.kind === 'attention'
        ? [[nameOf(operation.key), { layer: operation.layer, query: nameOf(operation.query) }] as const]
        : [],
    ),
  )
}

/**
 * Sums each row of (scale * q k^T + 1)^4 over its keys.
 *
 * @param query [heads * headChannels, positions], as the key
 * @param into one element for each head and row, overwritten
 */
export function sumRows(
  { heads, headChannels, scale }: PolyAttention,
  query: Float64Array,
  key: Float64Array,
  into: Float64Array,
): void {
  const positions = query.length / (heads * headChannels)
  for (let head = 0; head < heads; head++) {
    const factor = 1 / (1 + Math.exp(-scale[head]))
    const first = head * headChannels
    for (let row = 0; row < positions; row++) {
      let sum = 0
      for (let column = 0; column < positions; column++) {
        let product = 0
        for (let c = first; c < first + headChannels; c++) {
          product += query[c * positions + row] * key[c * positions + column]
        }
        sum += (factor * product + 1) ** 4
      }
      into[head * positions + row] = sum
    }
  }
}

/** Writes the running denominators: the means over images of their sums of rows. */
export function setDenominators({ denominator }: PolyAttention, images: readonly Float64Array[]): void {
  for (let i = 0; i < denominator.length; i++) {
    denominator[i] = images.reduce((total, sums) => total + sums[i], 0) / images.length
  }
}
