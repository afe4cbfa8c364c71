import { printable } from '../../errors/index.ts'

/**
 * Aligns cells in columns. Columns of numbers (all cells below the heading start with a digit or sign) are
 * right-aligned.
 *
 * @param cells the heading first, all rows of one length. Control characters are removed, since text may come
 *   from a server
 * @param names number of columns at the left that hold names, also where each name starts with a digit
 */
export function table(cells: readonly (readonly string[])[], names = 0): string {
  const rows = cells.map((row) => row.map(printable))
  const [heading, ...body] = rows
  const widths = heading.map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  const numeric = heading.map((_, c) => c >= names && body.every((row) => /^[-+]?\d/.test(row[c])))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return rows.map(line).join('\n')
}
