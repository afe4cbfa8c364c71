import { type Markup, markup } from '../markup.ts'
import { picture } from '../picture.ts'
import { type SideLine, sideLines } from './lanes.ts'
import type { GraphNode } from './nodes.ts'
import { BOX, type FramePlace, INSET, LANE, PAD, type Places, placesOf } from './places.ts'

/** Radius of the corners of lines. */
const CORNER = 5
/** Where lines at the side leave a box and come to it, below its upper border. */
const LEAVES = BOX - 7
const COMES = 7
/** Where the line to the next box is, right of the boxes' left border. */
const STRAIGHT = 16
/** Length and half the width of the head of an arrow. */
const HEAD = 5
const HALF_HEAD = 3.5
/** From the middle of a line of text to its base. */
const TEXT_BASE = 4

/**
 * Boxes below each other with lines between those that read and those that are read.
 *
 * @param alternative what the drawing shows, in words
 */
export function graphDrawing(alternative: string, nodes: readonly GraphNode[]): Markup {
  const lines = sideLines(nodes)
  const lanes = lines.reduce((most, { lane }) => Math.max(most, lane + 1), 0)
  const places = placesOf(nodes, lanes)
  return picture(alternative, 'graph', places, true, [
    places.frames.map((frame) => frameMark(frame, places)),
    lines.map((line) => sideMark(line, places)),
    nodes.map(({ reads }, i) => (reads.includes(i - 1) ? straightMark(i, places) : undefined)),
    nodes.map((node, i) => boxMark(node, places.tops[i], places)),
  ])
}

const frameMark = ({ name, top, bottom }: FramePlace, { left, boxWidth }: Places): Markup =>
  markup`<rect class="frame" x="${left - PAD}" y="${top}" width="${boxWidth + 2 * PAD}" height="${bottom - top}" rx="6" />
<text class="frame-name" x="${left + boxWidth}" y="${top + 15}">${name}</text>`

function boxMark({ name, detail, look, target }: GraphNode, top: number, { left, boxWidth }: Places): Markup {
  const base = top + BOX / 2 + TEXT_BASE
  return markup`<a class="node ${look}" href="#${target}" tabindex="-1"><rect x="${left}" y="${top}" width="${boxWidth}" height="${BOX}" rx="4" />
<text class="name" x="${left + INSET}" y="${base}">${name}</text><text class="detail" x="${left + boxWidth - INSET}" y="${base}">${detail}</text></a>
`
}

function straightMark(to: number, { tops, left }: Places): Markup {
  const x = left + STRAIGHT
  const end = tops[to]
  return markup`<path class="edge" d="M${x} ${tops[to - 1] + BOX}V${end - HEAD}" />
<path class="head" d="M${x} ${end}l${-HALF_HEAD} ${-HEAD}h${2 * HALF_HEAD}z" />
`
}

/** A line from a box to the side, down, and back to every box that reads it. */
function sideMark({ from, to, lane }: SideLine, { tops, left }: Places): Markup {
  const x = left - PAD - LANE * (lane + 1)
  const ends = to.map((reader) => tops[reader] + COMES)
  const leaves = tops[from] + LEAVES
  const down = `M${left} ${leaves}H${x + CORNER}Q${x} ${leaves} ${x} ${leaves + CORNER}V${ends[ends.length - 1] - CORNER}`
  const branches = ends.map((y) => `M${x} ${y - CORNER}Q${x} ${y} ${x + CORNER} ${y}H${left - HEAD}`)
  const heads = ends.map((y) => `M${left} ${y}l${-HEAD} ${-HALF_HEAD}v${2 * HALF_HEAD}z`)
  return markup`<path class="edge side" d="${down}${branches.join('')}" />
<path class="head side" d="${heads.join('')}" />
`
}
