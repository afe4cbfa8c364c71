import type { LayerReport, PlanReport } from '../../../compiler/index.ts'
import { counted } from '../../../text/counted.ts'
import { type Column, itemsOf, leastOf, mostOf, sumOf } from './columns.ts'
import { type Figure, figure } from './figure.ts'
import { drawing, frameOf } from './frame.ts'
import { columnNote, type FigureKey, type LayerAxis, layerAxis, layerTip } from './layer-axis.ts'
import { levelChart } from './level-chart.ts'
import { type Bar, stacks } from './marks.ts'
import type { Markup } from './markup.ts'
import { precisionChart } from './precision-chart.ts'
import { percentText, shortSeconds } from './texts.ts'

/** The charts over the layers, in the order in which they are computed. */
export function layerCharts(plan: PlanReport): Markup[] {
  const { layers } = plan
  const axis = layerAxis(layers)
  return [
    levelChart(plan),
    secondsChart(layers, axis),
    precisionChart(plan, axis),
    rotationsChart(layers, axis),
    slotsChart(layers, axis),
  ].map(figure)
}

function secondsChart(layers: readonly LayerReport[], axis: LayerAxis): Figure {
  const [id, title] = ['seconds', 'Estimated seconds'] as const
  const measure = (column: Column): number => sumOf(itemsOf(column, layers), ({ seconds }) => seconds)
  const slowest = layers.toSorted((a, b) => b.seconds - a.seconds)[0]
  const longest = slowest ? `The longest is ${slowest.name} with ${shortSeconds(slowest.seconds)}.` : ''
  return {
    id,
    title,
    note: `How long one core of the server works at each layer. ${longest}${columnNote(axis, 'their sum')}`,
    drawing: barDrawing(layers, axis, { id, title, measure, textOf: shortSeconds, unit: ' s' }),
  }
}

function rotationsChart(layers: readonly LayerReport[], axis: LayerAxis): Figure {
  const [id, title] = ['rotations', 'Rotations'] as const
  const measure = (column: Column): number => sumOf(itemsOf(column, layers), ({ rotations }) => rotations)
  return {
    id,
    title,
    note:
      'How often a ciphertext is rotated, so that pixels and channels meet their neighbours. Each takes a key switching, ' +
      `the dearest of all operations.${columnNote(axis, 'their sum')}`,
    drawing: barDrawing(layers, axis, {
      id,
      title,
      measure,
      textOf: (count) => counted(count, 'rotation'),
      finest: 1,
    }),
  }
}

function slotsChart(layers: readonly LayerReport[], axis: LayerAxis): Figure {
  const [id, title] = ['slots', 'Slots used'] as const
  const measure = (column: Column): number => 100 * slotShare(itemsOf(column, layers))
  return {
    id,
    title,
    note: `The share of all slots that hold an element of the layer’s tensor. The server computes with the other slots too, without use.${columnNote(axis, 'their mean')}`,
    drawing: barDrawing(layers, axis, { id, title, measure, textOf: percentText, unit: ' %', most: 100 }),
  }
}

const slotShare = (layers: readonly LayerReport[]): number =>
  sumOf(layers, ({ slotsUsed }) => slotsUsed) / Math.max(1, layers.length)

interface BarDrawing {
  readonly id: FigureKey
  readonly title: string
  readonly measure: (column: Column) => number
  readonly textOf: (value: number) => string
  readonly unit?: string
  readonly most?: number
  readonly finest?: number
}

function barDrawing(
  layers: readonly LayerReport[],
  { columns, axes }: LayerAxis,
  { id, title, measure, textOf, unit, most = mostOf(columns, measure), finest }: BarDrawing,
): Markup {
  const frame = frameOf({ ...axes, most, finest, unit })
  const bars = columns.map((column) => {
    const value = measure(column)
    const whole: Bar = { from: 0, to: value, look: 'bar' }
    return { column, bars: [whole], tip: layerTip(column, layers, textOf(value), id) }
  })
  const [least, largest] = [leastOf(columns, measure), mostOf(columns, measure)]
  const range = columns.length === 0 ? 'no layers' : `from ${textOf(least)} to ${textOf(largest)}`
  return drawing(
    frame,
    `${title} of ${layers.length} layers in order, ${range}; the table has all numbers.`,
    stacks(frame, bars),
  )
}
