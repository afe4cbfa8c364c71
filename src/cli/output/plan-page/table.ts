import { type Markup, markup, type Part } from './markup.ts'
import { scrolled } from './scrolled.ts'

/** A column of a table. */
export interface TableColumn<T> {
  readonly heading: string
  readonly cell: (row: T, index: number) => Part
  readonly isNumber?: boolean
  /** Whether its cells name their rows. */
  readonly isName?: boolean
  /** What links to a cell add to its row's id. */
  readonly key?: string
}

/**
 * A table with the semantics that readers of screens go by.
 *
 * @param look class of a row in the page's style
 * @param id what links to a row are called, where there are any
 */
export const dataTable = <T>(
  caption: string,
  columns: readonly TableColumn<T>[],
  rows: readonly T[],
  { look = () => '', id }: RowMarks<T> = {},
): Markup =>
  scrolled(
    caption,
    markup`<table>
<caption>${caption}</caption>
<thead><tr>${columns.map((column) => markup`<th scope="col"${numeric(column)}>${column.heading}</th>`)}</tr></thead>
<tbody>
${rows.map((row, i) => markup`<tr${idOf(id?.(i))}${classOf(look(row))}>${columns.map((column) => cellOf(column, row, i, id?.(i)))}</tr>\n`)}</tbody>
</table>`,
  )

/** What rows are marked with. */
export interface RowMarks<T> {
  readonly look?: (row: T) => string
  readonly id?: (index: number) => string
}

function cellOf<T>(column: TableColumn<T>, row: T, index: number, rowId?: string): Markup {
  const content = column.cell(row, index)
  return column.isName
    ? markup`<th scope="row">${content}</th>`
    : markup`<td${idOf(column.key && rowId && `${rowId}-${column.key}`)}${numeric(column)}>${content}</td>`
}

const numeric = <T>({ isNumber = false }: TableColumn<T>): Markup | undefined =>
  isNumber ? classOf('number') : undefined

const idOf = (id?: string): Markup | undefined => (id === undefined ? undefined : markup` id="${id}"`)

const classOf = (name: string): Markup | undefined => (name === '' ? undefined : markup` class="${name}"`)
