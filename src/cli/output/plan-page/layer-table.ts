import type { LayerReport, PlanReport } from '../../../compiler/index.ts'
import { type FigureKey, layerId } from './layer-axis.ts'
import { type Markup, markup } from './markup.ts'
import { dataTable, type TableColumn } from './table.ts'
import { bitsText, percentText } from './texts.ts'

/** Every layer with every number that charts are drawn from. */
export const layerTable = ({ layers, rounds }: PlanReport): Markup =>
  dataTable(
    `Layers in the order in which they are computed${rounds.length === 0 ? '' : REFRESHED_NOTE}`,
    rounds.length === 0 ? COLUMNS : [...COLUMNS, REFRESHED],
    layers,
    { look: ({ refreshes }) => (refreshes > 0 ? 'refreshed' : ''), id: layerId },
  )

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

const REFRESHED_NOTE = '; where ciphertexts are refreshed when a layer is done, its level is that after it'

const REFRESHED = number('refreshed', ({ refreshes }) => refreshes || '')
