import { itemNumbers, ticksOf, tickText } from './axis.ts'
import { type Markup, markup } from './markup.ts'
import type { Section } from './sections.ts'

/** Sizes in units of the drawing; a page's width is about one thousand. */
const LEFT = 52
const RIGHT = 4
const TOP = 8
const WIDTH = 1000
const HEIGHT = 150
const NUMBERS = 16
const SECTIONS = 18
/** Estimated width of one character of small print. */
const CHARACTER = 5.6
/** Space that the number of a layer takes. */
const NUMBER_SPACE = 32

/** Where a chart's items and values lie in its drawing. */
export interface Frame {
  readonly count: number
  readonly width: number
  readonly ticks: readonly number[]
  readonly height: number
  readonly unit: string
  readonly sections: readonly Section[]
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
  /** What each item has at least; the drawing is wider than the page where it takes that. */
  readonly itemWidth?: number
  readonly sections?: readonly Section[]
}

export const frameOf = ({ count, most, finest, unit = '', itemWidth = 0, sections = [] }: Axes): Frame => ({
  count,
  width: Math.max(WIDTH, LEFT + RIGHT + count * itemWidth),
  ticks: ticksOf(most, finest),
  height: TOP + HEIGHT + NUMBERS + (sections.length > 1 ? SECTIONS : 0),
  unit,
  sections: sections.length > 1 ? sections : [],
})

/** Left border of item `i`; its right one is the next one's left. */
export const xOf = (frame: Frame, i: number): number =>
  coordinate(LEFT + (innerWidth(frame) * i) / Math.max(1, frame.count))

const innerWidth = ({ width }: Frame): number => width - LEFT - RIGHT

/** Values beyond the axis are drawn at its end. */
export function yOf(frame: Frame, value: number): number {
  const top = frame.ticks.at(-1)!
  return coordinate(TOP + HEIGHT * (1 - Math.min(1, Math.max(0, value / top))))
}

/** Hundredths are as fine as one can see. */
export const coordinate = (value: number): number => Math.round(100 * value) / 100

/** Where a drawing's bars stand. */
export const BASE = TOP + HEIGHT

/**
 * A drawing with axes and marks.
 *
 * @param id unique on the page
 * @param alternative what the drawing shows, in words
 */
export const drawing = (frame: Frame, id: string, alternative: string, marks: readonly Markup[]): Markup =>
  markup`<svg${wide(frame)} viewBox="0 0 ${frame.width} ${frame.height}" role="img" aria-labelledby="${id}-text">
<title id="${id}-text">${alternative}</title>
${grid(frame)}
${marks}
${numbers(frame)}
${sectionMarks(frame)}
</svg>`

/** Whether a drawing has to be scrolled. */
export const isWide = ({ width }: Frame): boolean => width > WIDTH

/** Without a width it has the page's. */
const wide = (frame: Frame): Markup | undefined =>
  isWide(frame) ? markup` class="wide" width="${frame.width}"` : undefined

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
    const middle = coordinate((xOf(frame, number - 1) + xOf(frame, number)) / 2)
    return markup`<text class="number" x="${middle}" y="${BASE + 13}">${number}</text>`
  })
}

/** Marks of the sections. A section has its name where the name fits. */
function sectionMarks(frame: Frame): Markup[] {
  return frame.sections.map(({ name, from, to }) => {
    const [left, right] = [xOf(frame, from), xOf(frame, to)]
    const y = BASE + NUMBERS + 2
    const fits = name.length * CHARACTER < right - left - 2
    const label = fits
      ? markup`<text class="section" x="${coordinate((left + right) / 2)}" y="${y + 12}">${name}</text>`
      : undefined
    return markup`<g><title>${name}</title><line class="span" x1="${left + 1}" x2="${Math.max(left + 1.5, right - 1)}" y1="${y}" y2="${y}" />${label}</g>`
  })
}
