import type { GraphNode } from './nodes.ts'

/** A line at the side of the boxes, from a box to all boxes below the next one that read its result. */
export interface SideLine {
  readonly from: number
  readonly to: readonly number[]
  /** Lane 0 is next to the boxes. */
  readonly lane: number
}

/**
 * The lines of connections that skip boxes. Lines side by side have different lanes, short ones the inner.
 */
export function sideLines(nodes: readonly Pick<GraphNode, 'reads'>[]): SideLine[] {
  const placed: SideLine[] = []
  for (const { from, to } of skips(nodes).sort((a, b) => lengthOf(a) - lengthOf(b))) {
    const taken = new Set(placed.filter((other) => overlaps(other, { from, to })).map(({ lane }) => lane))
    let lane = 0
    while (taken.has(lane)) lane++
    placed.push({ from, to, lane })
  }
  return placed.sort((a, b) => a.from - b.from)
}

type Skip = Omit<SideLine, 'lane'>

function skips(nodes: readonly Pick<GraphNode, 'reads'>[]): Skip[] {
  const readers = nodes.map((): number[] => [])
  for (const [place, { reads }] of nodes.entries()) {
    for (const read of reads) if (read < place - 1) readers[read].push(place)
  }
  return readers.flatMap((to, from) => (to.length > 0 ? [{ from, to }] : []))
}

const endOf = ({ to }: Skip): number => to[to.length - 1]

const lengthOf = (skip: Skip): number => endOf(skip) - skip.from

/** A line may begin at the box where another one ends: lines end above the place where they begin. */
const overlaps = (a: Skip, b: Skip): boolean => a.from < endOf(b) && b.from < endOf(a)
