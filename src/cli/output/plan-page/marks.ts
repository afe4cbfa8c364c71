import type { Column } from './columns.ts'
import { BASE, coordinate, type Frame, xOf, yOf } from './frame.ts'
import { type Markup, markup, type Part } from './markup.ts'

/** A part of a column, from one value up to another. */
export interface Bar {
  readonly from: number
  readonly to: number
  /** Its class in the page's style. */
  readonly look: 'bar' | 'back'
}

/** A column of a bar chart. */
export interface Stack {
  readonly column: Column
  readonly bars: readonly Bar[]
  readonly tip: Tip
}

/** What a column stands for. */
export interface Tip {
  /** The text that a reader sees when the pointer is on the column. */
  readonly text: string
  /** The id of a table's row or cell with the number: where touching the column leads. */
  readonly target: string
}

/** Share of a column's width that is a gap between it and its neighbours. */
const GAP_SHARE = 0.22
const MOST_GAP = 6
/** Least width of a column with a gap. Thinner columns touch each other, because gaps would hide them. */
const LEAST_WITH_GAP = 5

/** The columns of a bar chart. Each can be pointed at over its whole height. */
export const stacks = (frame: Frame, all: readonly Stack[]): Markup[] =>
  all.map(({ column, bars, tip }) => {
    const left = xOf(frame, column.from)
    const width = xOf(frame, column.to) - left
    const gap = width < LEAST_WITH_GAP ? 0 : Math.min(MOST_GAP, GAP_SHARE * width)
    const place = { x: coordinate(left + gap / 2), width: coordinate(width - gap) }
    const parts = bars.filter(({ from, to }) => to > from).map((bar) => rectangle(frame, place, bar))
    return link(tip, [pointable(column, frame), parts])
  })

/** Keyboards reach the rows by the table itself: hundreds of columns would be hundreds of stops. */
const link = ({ text, target }: Tip, content: Part): Markup =>
  markup`<a href="#${target}" tabindex="-1"><title>${text}</title>${content}</a>\n`

interface Place {
  readonly x: number
  readonly width: number
}

function rectangle(frame: Frame, { x, width }: Place, { from, to, look }: Bar): Markup {
  const y = yOf(frame, to)
  // A bar that is there should be seen.
  const height = coordinate(Math.max(0.75, yOf(frame, from) - y))
  return markup`<rect class="${look}" x="${x}" y="${Math.min(y, BASE - height)}" width="${width}" height="${height}" />`
}

const pointable = (column: Column, frame: Frame): Markup => {
  const x = xOf(frame, column.from)
  const y = yOf(frame, frame.ticks.at(-1)!)
  return markup`<rect class="all" x="${x}" y="${y}" width="${coordinate(xOf(frame, column.to) - x)}" height="${BASE - y}" />`
}

/** A line of steps, as high over each column as its value. */
export function steps(
  frame: Frame,
  look: 'line' | 'second',
  columns: readonly Column[],
  values: readonly number[],
): Markup {
  const path = columns
    .map(
      (column, i) =>
        `${i === 0 ? 'M' : 'L'}${xOf(frame, column.from)} ${yOf(frame, values[i])}H${xOf(frame, column.to)}`,
    )
    .join('')
  return markup`<path class="${look}" d="${path}" />`
}

/** A line across the chart. */
export const goal = (frame: Frame, value: number): Markup =>
  markup`<line class="goal" x1="${xOf(frame, 0)}" x2="${xOf(frame, frame.count)}" y1="${yOf(frame, value)}" y2="${yOf(frame, value)}" />`

/** What columns show when they are pointed at, where nothing else is drawn for each. */
export const tipMarks = (frame: Frame, columns: readonly Column[], tips: readonly Tip[]): Markup[] =>
  columns.map((column, i) => link(tips[i], pointable(column, frame)))
