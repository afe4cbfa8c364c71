import type { LayerReport, PlanReport } from '../../../compiler/index.ts'
import { type FigureKey, layerId } from './layer-axis.ts'
import { type Markup, markup } from './markup.ts'
import { dataTable, type TableColumn } from './table.ts'
import { bitsText, percentText } from './texts.ts'
import { renewedIn, type Way, wayOf } from './way.ts'

/** Every layer with every number that charts are drawn from. */
export function layerTable(plan: PlanReport): Markup {
  const { note, columns } = RENEWED[wayOf(plan)]
  return dataTable(
    `Layers in the order in which they are computed${note}`,
    [...COLUMNS, ...columns],
    plan.layers,
    { look: (layer) => (renewedIn(layer) > 0 ? 'renewed' : ''), id: layerId },
  )
}

const number = (
  heading: string,
  cell: TableColumn<LayerReport>['cell'],
  key?: FigureKey,
): TableColumn<LayerReport> => ({ heading, cell, isNumber: true, ...(key ? { key } : {}) })

const COLUMNS: readonly TableColumn<LayerReport>[] = [
  number('no.', (_, index) => index + 1),
  { heading: 'layer', cell: ({ name }) => markup`<code>${name}</code>`, isName: true },
  { heading: 'kind', cell: ({ kind }) => kind },
  number('shape', ({ shape }) => shape.join(' × ')),
  number('reads', ({ reads }) => reads.map((index) => index + 1).join(', ')),
  number('operations', ({ operations }) => operations),
  number('level', ({ level }) => level, 'level'),
  number('scale', ({ scaleBits }) => markup`2<sup>${scaleBits.toFixed(1)}</sup>`),
  number('slots', ({ slotsUsed }) => percentText(100 * slotsUsed), 'slots'),
  number('rotations', ({ rotations }) => rotations, 'rotations'),
  number('terms', ({ terms }) => terms),
  number('products', ({ products }) => products),
  number('precision', ({ precisionBits }) => bitsText(precisionBits), 'precision'),
  number('of logits', ({ logitBits }) => bitsText(logitBits)),
  number('seconds', ({ seconds }) => seconds.toFixed(3), 'seconds'),
]

/** What the table says of levels that are brought back. */
interface Renewed {
  readonly note: string
  readonly columns: readonly TableColumn<LayerReport>[]
}

const renewed = (verb: string): Renewed => ({
  note: `; where ciphertexts are ${verb} when a layer is done, its level is that after it`,
  columns: [number(verb, (layer) => renewedIn(layer) || '')],
})

const RENEWED: Readonly<Record<Way, Renewed>> = {
  nobody: { note: '', columns: [] },
  client: renewed('refreshed'),
  server: renewed('restored'),
}
