import { itemNumbers, ticksOf, tickText } from './axis.ts'
import { type Markup, markup } from './markup.ts'
import { picture } from './picture.ts'
import type { Section } from './sections.ts'

/** Sizes in units of the drawing; a page's width is about one thousand. */
const LEFT = 52
const RIGHT = 12
const TOP = 8
const WIDTH = 1000
const HEIGHT = 150
const NUMBERS = 16
const SECTIONS = 18
/** Estimated width of one character of small print. */
const CHARACTER = 5.6
/** Space that the number of a layer takes. */
const NUMBER_SPACE = 32
/** Least width of an item with a name, which is written upwards below it. */
const NAME_SPACE = 13
/** Characters of the longest name below an axis. */
const LONGEST_NAME = 24
/** Space around a name, and from the middle of a column to its base. */
const NAME_MARGIN = 6
const NAME_BASE = 3.5

/** Where a chart's items and values lie in its drawing. */
export interface Frame {
  readonly count: number
  readonly width: number
  readonly ticks: readonly number[]
  readonly unit: string
  readonly sections: readonly Section[]
  readonly names?: readonly string[]
}

/** What a chart's axes need to be told. */
export interface Axes {
  readonly count: number
  /** Largest value. */
  readonly most: number
  /** Least step between values: 1 for counts. */
  readonly finest?: number
  /** What stands behind the topmost number. */
  readonly unit?: string
  readonly sections?: readonly Section[]
  /**
   * What stands below each item instead of some items' numbers; the drawing may be wider than the page for
   * it.
   */
  readonly names?: readonly ItemName[]
}

/** An item's number, from 1, and name. */
export interface ItemName {
  readonly number: number
  readonly name: string
}

export const frameOf = ({ count, most, finest, unit = '', sections = [], names }: Axes): Frame => ({
  count,
  width: Math.max(WIDTH, LEFT + RIGHT + count * (names ? NAME_SPACE : 0)),
  ticks: ticksOf(most, finest),
  unit,
  sections,
  ...(names ? { names: names.map(shortened) } : {}),
})

/** The last words of a long name, which tell layers of one part apart. */
function shortened({ number, name }: ItemName): string {
  const most = LONGEST_NAME - `${number} `.length
  if (name.length <= most) return `${number} ${name}`
  const words = name.split('.')
  while (words.length > 1 && words.join('.').length >= most) words.shift()
  return `${number} …${words.join('.').slice(-most + 1)}`
}

/** Left border of item `i`; its right one is the next one's left. */
export const xOf = (frame: Frame, i: number): number =>
  coordinate(LEFT + (innerWidth(frame) * i) / Math.max(1, frame.count))

const innerWidth = ({ width }: Frame): number => width - LEFT - RIGHT

const middleOf = (frame: Frame, i: number): number => (xOf(frame, i) + xOf(frame, i + 1)) / 2

/** Values beyond the axis are drawn at its end. */
export function yOf(frame: Frame, value: number): number {
  const top = frame.ticks.at(-1)!
  return coordinate(TOP + HEIGHT * (1 - Math.min(1, Math.max(0, value / top))))
}

/** Hundredths are as fine as one can see. */
export const coordinate = (value: number): number => Math.round(100 * value) / 100

/** Where a drawing's bars stand. */
export const BASE = TOP + HEIGHT

/** Height of what stands below the bars, next to them: numbers or names. */
const labelHeight = ({ names }: Frame): number =>
  names === undefined
    ? NUMBERS
    : Math.ceil(CHARACTER * Math.max(0, ...names.map(({ length }) => length))) + 2 * NAME_MARGIN

const heightOf = (frame: Frame): number =>
  BASE + labelHeight(frame) + (frame.sections.length > 0 ? SECTIONS : 0)

/** A drawing with axes and marks. @param alternative what it shows, in words */
export const drawing = (frame: Frame, alternative: string, marks: readonly Markup[]): Markup =>
  picture(
    alternative,
    isWide(frame) ? 'chart wide' : 'chart',
    { width: frame.width, height: heightOf(frame) },
    isWide(frame),
    [grid(frame), marks, frame.names ? nameMarks(frame, frame.names) : numbers(frame), sectionMarks(frame)],
  )

/** Whether a drawing has to be scrolled on all screens. */
const isWide = ({ width }: Frame): boolean => width > WIDTH

function grid(frame: Frame): Markup[] {
  const { ticks, unit } = frame
  return ticks.map((tick, i) => {
    const y = yOf(frame, tick)
    const text = tickText(tick, ticks[1]) + (i === ticks.length - 1 ? unit : '')
    return markup`<line class="${i === 0 ? 'base' : 'grid'}" x1="${LEFT}" x2="${frame.width - RIGHT}" y1="${y}" y2="${y}" />
<text class="tick" x="${LEFT - 6}" y="${y + 3.5}">${text}</text>`
  })
}

function numbers(frame: Frame): Markup[] {
  return itemNumbers(frame.count, innerWidth(frame), NUMBER_SPACE).map((number) => {
    const middle = coordinate(middleOf(frame, number - 1))
    return markup`<text class="number" x="${middle}" y="${BASE + 13}">${number}</text>`
  })
}

/** Names that are read upwards and end at the axis. */
const nameMarks = (frame: Frame, names: readonly string[]): Markup[] =>
  names.map((name, i) => {
    const place = `translate(${coordinate(middleOf(frame, i) + NAME_BASE)} ${BASE + NAME_MARGIN})`
    return markup`<text class="upward" transform="${place} rotate(-90)">${name}</text>\n`
  })

/** Marks of the sections. A section has its name where the name fits. */
function sectionMarks(frame: Frame): Markup[] {
  const y = BASE + labelHeight(frame) + 2
  return frame.sections.map(({ name, from, to }) => {
    const [left, right] = [xOf(frame, from), xOf(frame, to)]
    const fits = name.length * CHARACTER < right - left - 2
    const label = fits
      ? markup`<text class="section" x="${coordinate((left + right) / 2)}" y="${y + 12}">${name}</text>`
      : undefined
    return markup`<g><title>${name}</title><line class="span" x1="${left + 1}" x2="${Math.max(left + 1.5, right - 1)}" y1="${y}" y2="${y}" />${label}</g>`
  })
}
