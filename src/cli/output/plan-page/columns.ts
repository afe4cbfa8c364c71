/** Neighbours that a chart shows as one: `from` .. `to - 1`. */
export interface Column {
  readonly from: number
  readonly to: number
}

/** Largest number of columns: readers cannot see or point at thinner ones. */
const MOST_COLUMNS = 280

/** One column for each item. Where there are more than `most` items, each column has several neighbours. */
export function columnsOf(count: number, most = MOST_COLUMNS): Column[] {
  const size = Math.max(1, Math.ceil(count / most))
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => ({
    from: i * size,
    to: Math.min(count, (i + 1) * size),
  }))
}

/** How many items each full column holds. */
export const columnSize = (columns: readonly Column[]): number =>
  columns.length === 0 ? 1 : columns[0].to - columns[0].from

/** A column's own items. */
export const itemsOf = <T>({ from, to }: Column, items: readonly T[]): readonly T[] => items.slice(from, to)

export const sumOf = <T>(items: readonly T[], value: (item: T) => number): number =>
  items.reduce((sum, item) => sum + value(item), 0)

export const leastOf = <T>(items: readonly T[], value: (item: T) => number): number =>
  items.reduce((least, item) => Math.min(least, value(item)), Infinity)

/** @returns at least 0 */
export const mostOf = <T>(items: readonly T[], value: (item: T) => number): number =>
  items.reduce((most, item) => Math.max(most, value(item)), 0)
