import type { LayerReport } from '../../../compiler/index.ts'
import { type Column, columnSize, columnsOf } from './columns.ts'
import { type Section, sectionsOf } from './sections.ts'

/** What all charts over the layers share. */
export interface LayerAxis {
  readonly columns: readonly Column[]
  readonly sections: readonly Section[]
}

export const layerAxis = (layers: readonly LayerReport[]): LayerAxis => ({
  columns: columnsOf(layers.length),
  sections: sectionsOf(layers.map(({ name }) => name)),
})

/** The layers of a column in words: one by name, several by the first and the last. */
export function columnName({ from, to }: Column, layers: readonly LayerReport[]): string {
  const first = `${from + 1} ${layers[from].name}`
  return to - from === 1 ? first : `${first} to ${to} ${layers[to - 1].name}`
}

/** What a column says of its layers, where it stands for several. */
export function columnNote({ columns }: LayerAxis, how: string): string {
  const size = columnSize(columns)
  return size === 1 ? '' : ` Each column stands for ${size} layers: ${how}.`
}
