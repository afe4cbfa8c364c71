import type { Column } from './columns.ts'

/** Neighbouring layers of one part of the network, as their names tell. */
export interface Section extends Column {
  readonly name: string
}

/**
 * The parts of a network in order. A name such as `cells.3.stack.0.conv.in` has a numbered part, `cells.3`,
 * and one within it, `cells.3.stack.0`; a name without numbers belongs to the part of its first word.
 *
 * @param most parts of more layers than this are replaced by the parts within them, where there are any
 */
export function sectionsOf(names: readonly string[], most = 0): Section[] {
  return within(names, { name: '', from: 0, to: names.length }, 0, most)
}

function within(names: readonly string[], { from, to }: Section, depth: number, most: number): Section[] {
  const own = names.slice(from, to)
  const parts = own.map((name) => partOf(name, depth))
  const starts = parts.map((_, i) => i).filter((i) => i === 0 || parts[i] !== parts[i - 1])
  const sections = starts.map((start, i): Section => {
    return { name: parts[start], from: from + start, to: from + (starts[i + 1] ?? parts.length) }
  })
  return sections.flatMap((section) => {
    const isSmall = section.to - section.from <= Math.max(1, most)
    const hasParts = names.slice(section.from, section.to).some((name) => partEnds(name).length > depth + 1)
    return isSmall || !hasParts ? [section] : within(names, section, depth + 1, most)
  })
}

/** A layer's part at a depth, or the deepest that it belongs to. */
function partOf(name: string, depth: number): string {
  const ends = partEnds(name)
  return name
    .split('.')
    .slice(0, ends[Math.min(depth, ends.length - 1)] ?? 1)
    .join('.')
}

/** Numbers of words after which a name's numbered parts end: 2 and 4 of `cells.3.stack.0.conv.in`. */
function partEnds(name: string): number[] {
  const isNumber = name.split('.').map((word) => /^\d+$/.test(word))
  return isNumber.flatMap((is, i) => (is && i > 0 && !isNumber[i - 1] ? [i + 1] : []))
}

/**
 * A layer's name within its numbered part: `conv.in` of `cells.3.stack.0.conv.in`. What is a number then, or
 * one of a few layers of a part without a number, keeps its whole name.
 */
export function nameWithin(name: string, part: string): string {
  const rest = name.slice(part.length + 1)
  const isInside = /\.\d+$/.test(part) && name.startsWith(`${part}.`)
  return isInside && !/^\d/.test(rest) ? rest : name
}
