import type { Column } from './columns.ts'

/** Neighbouring layers of one part of the network, as their names tell. */
export interface Section extends Column {
  readonly name: string
}

/** How much of a layer's name is the part's: `cells.3` of `cells.3.stack.0.conv.in`. */
const WORDS = 2

/** The parts of a network in order, as the first words of its layers' names tell them. */
export function sectionsOf(names: readonly string[]): Section[] {
  const parts = names.map((name) => name.split('.').slice(0, WORDS).join('.'))
  const starts = parts.map((_, i) => i).filter((i) => i === 0 || parts[i] !== parts[i - 1])
  return starts.map((from, i) => ({ name: parts[from], from, to: starts[i + 1] ?? parts.length }))
}
