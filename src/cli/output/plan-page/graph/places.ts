import type { GraphNode } from './nodes.ts'

/** Sizes in pixels: graphs have their natural size on all screens. */
export const BOX = 25
const GAP = 15
export const LANE = 8
/** Space around a frame's boxes, and for its name. */
export const PAD = 8
const TITLE = 15
const MARGIN = 2
/** Space between a box's border and its text, and between its name and its detail. */
export const INSET = 9
const BETWEEN = 2
/** Width of a character of the page's fixed font, with some reserve, and of the widest characters. */
const CHARACTER = 6.8
const WIDE_CHARACTER = 12

/** A frame around boxes `from` .. `to - 1`. */
export interface FramePlace {
  readonly name: string
  readonly top: number
  readonly bottom: number
}

/** Where everything stands. */
export interface Places {
  /** Upper borders of the boxes. */
  readonly tops: readonly number[]
  readonly frames: readonly FramePlace[]
  /** Left border and width of all boxes. */
  readonly left: number
  readonly boxWidth: number
  readonly width: number
  readonly height: number
}

/** @param lanes number of lanes of lines at the side */
export function placesOf(nodes: readonly GraphNode[], lanes: number): Places {
  const tops: number[] = []
  const frames: FramePlace[] = []
  let y = MARGIN
  let open: { name: string; top: number } | undefined
  const close = (): void => {
    if (open === undefined) return
    y += PAD
    frames.push({ ...open, bottom: y - GAP })
    open = undefined
  }
  for (const { frame } of nodes) {
    if (frame !== open?.name) {
      close()
      if (frame !== undefined) {
        open = { name: frame, top: y }
        y += TITLE + PAD
      }
    }
    tops.push(y)
    y += BOX + GAP
  }
  close()
  const left = MARGIN + lanes * LANE + (lanes > 0 ? LANE : 0) + PAD
  const boxWidth = Math.ceil(Math.max(0, ...nodes.map(widthOf), ...frames.map(({ name }) => textWidth(name))))
  return { tops, frames, left, boxWidth, width: left + boxWidth + PAD + MARGIN, height: y - GAP + MARGIN }
}

const widthOf = ({ name, detail }: GraphNode): number =>
  2 * INSET + textWidth(name) + BETWEEN * CHARACTER + textWidth(detail)

/** Estimated from above, so that no text is cut. */
function textWidth(text: string): number {
  let width = 0
  for (const character of text)
    width += character <= '\u024f' || character === '×' ? CHARACTER : WIDE_CHARACTER
  return width
}
