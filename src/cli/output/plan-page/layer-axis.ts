import type { LayerReport } from '../../../compiler/index.ts'
import { type Column, columnSize, columnsOf } from './columns.ts'
import type { Axes, ItemName } from './frame.ts'
import type { Tip } from './marks.ts'
import { nameWithin, type Section, sectionsOf } from './sections.ts'

/** What all charts over the layers share. */
export interface LayerAxis {
  readonly columns: readonly Column[]
  readonly axes: Pick<Axes, 'count' | 'sections' | 'names'>
}

/** Largest number of layers whose names stand below all charts. */
const MOST_NAMED = 100
/** Largest part of a network whose layers have no names, where it has parts itself. */
const LARGEST_PART = 48

/** Few layers have a column and a name each. Many share columns, and only the network's parts have names. */
export function layerAxis(layers: readonly LayerReport[]): LayerAxis {
  if (layers.length <= MOST_NAMED) return namedAxis(layers)
  const sections = sectionsOf(
    layers.map(({ name }) => name),
    LARGEST_PART,
  )
  return { columns: columnsOf(layers.length), axes: { count: layers.length, sections } }
}

/** A column and a name for each layer; the drawing is wider than the page where it takes that. */
export function namedAxis(layers: readonly LayerReport[]): LayerAxis {
  const names = layers.map(({ name }) => name)
  const sections = sectionsOf(names)
  return {
    columns: columnsOf(layers.length, layers.length),
    axes: {
      count: layers.length,
      names: sections.flatMap((section) => namesIn(section, names)),
      // A part that is one layer has its name already.
      sections: sections.filter(({ name, from, to }) => to - from > 1 || names[from] !== name),
    },
  }
}

const namesIn = ({ name, from, to }: Section, names: readonly string[]): ItemName[] =>
  names.slice(from, to).map((whole, i) => ({ number: from + i + 1, name: nameWithin(whole, name) }))

/** The layers of a column in words: one by name, several by the first and the last. */
function columnName({ from, to }: Column, layers: readonly LayerReport[]): string {
  const first = `${from + 1} ${layers[from].name}`
  return to - from === 1 ? first : `${first} to ${to} ${layers[to - 1].name}`
}

/**
 * @param value what a column shows, in words
 * @param key of the table's column with this figure; a chart's column leads to its first layer's cell
 */
export const layerTip = (
  column: Column,
  layers: readonly LayerReport[],
  value: string,
  key: FigureKey,
): Tip => ({
  text: `${columnName(column, layers)}: ${value}`,
  target: `${layerId(column.from)}-${key}`,
})

/** Figures of layers that have charts. */
export type FigureKey = 'level' | 'seconds' | 'precision' | 'rotations' | 'slots'

/** The id of a layer's row in the table. */
export const layerId = (index: number): string => `layer-${index + 1}`

/** What a column says of its layers, where it stands for several. */
export function columnNote({ columns }: LayerAxis, how: string): string {
  const size = columnSize(columns)
  return size === 1 ? '' : ` Each column stands for ${size} layers: ${how}. It leads to the first of them.`
}
