import { type Markup, markup, type Part } from './markup.ts'

/** A column of a table. */
export interface TableColumn<T> {
  readonly heading: string
  readonly cell: (row: T, index: number) => Part
  readonly isNumber?: boolean
  /** Whether its cells name their rows. */
  readonly isName?: boolean
}

/**
 * A table with the semantics that readers of screens go by.
 *
 * @param look class of a row in the page's style
 */
export const dataTable = <T>(
  caption: string,
  columns: readonly TableColumn<T>[],
  rows: readonly T[],
  look: (row: T) => string = () => '',
): Markup =>
  markup`<div class="scroll" tabindex="0" role="group" aria-label="${caption}">
<table>
<caption>${caption}</caption>
<thead><tr>${columns.map((column) => markup`<th scope="col"${numeric(column)}>${column.heading}</th>`)}</tr></thead>
<tbody>
${rows.map((row, i) => markup`<tr${classOf(look(row))}>${columns.map((column) => cellOf(column, row, i))}</tr>\n`)}</tbody>
</table>
</div>
`

function cellOf<T>(column: TableColumn<T>, row: T, index: number): Markup {
  const content = column.cell(row, index)
  return column.isName
    ? markup`<th scope="row">${content}</th>`
    : markup`<td${numeric(column)}>${content}</td>`
}

const numeric = <T>({ isNumber = false }: TableColumn<T>): Markup | undefined =>
  isNumber ? classOf('number') : undefined

const classOf = (name: string): Markup | undefined => (name === '' ? undefined : markup` class="${name}"`)
