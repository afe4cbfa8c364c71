import type { LayerReport, PlanReport } from '../../../compiler/index.ts'
import { sumOf } from './columns.ts'
import type { Markup } from './markup.ts'
import { dataTable, type TableColumn } from './table.ts'
import { percentText } from './texts.ts'

interface Kind {
  readonly name: string
  readonly layers: readonly LayerReport[]
  readonly seconds: number
  readonly share: number
}

/** Where the time goes: layers of one kind together, those first that take most. */
export const kindTable = (plan: PlanReport): Markup =>
  dataTable('Layers of each kind together', COLUMNS, kindsOf(plan))

function kindsOf({ layers }: PlanReport): Kind[] {
  const total = sumOf(layers, ({ seconds }) => seconds) || 1
  return [...Map.groupBy(layers, ({ kind }) => kind)]
    .map(([name, own]) => {
      const seconds = sumOf(own, (layer) => layer.seconds)
      return { name, layers: own, seconds, share: (100 * seconds) / total }
    })
    .sort((a, b) => b.seconds - a.seconds)
}

const sum = (heading: string, value: (layer: LayerReport) => number): TableColumn<Kind> => ({
  heading,
  cell: ({ layers }) => sumOf(layers, value),
  isNumber: true,
})

const COLUMNS: readonly TableColumn<Kind>[] = [
  { heading: 'kind', cell: ({ name }) => name, isName: true },
  { heading: 'layers', cell: ({ layers }) => layers.length, isNumber: true },
  sum('rotations', ({ rotations }) => rotations),
  sum('terms', ({ terms }) => terms),
  sum('products', ({ products }) => products),
  { heading: 'seconds', cell: ({ seconds }) => seconds.toFixed(3), isNumber: true },
  { heading: 'of all', cell: ({ share }) => percentText(share), isNumber: true },
]
