import type { LayerReport, PlanReport } from '../../../compiler/index.ts'
import { type Column, itemsOf, leastOf, mostOf, sumOf } from './columns.ts'
import type { Figure, LegendItem } from './figure.ts'
import { drawing, frameOf } from './frame.ts'
import { columnName, columnNote, type LayerAxis } from './layer-axis.ts'
import { type Stack, stacks } from './marks.ts'
import { counted } from './texts.ts'

const ID = 'levels'

/** How levels fall from layer to layer, and where refreshes bring them back. */
export function levelChart({ layers, rounds }: PlanReport, axis: LayerAxis): Figure {
  const frame = frameOf({
    count: layers.length,
    most: mostOf(layers, ({ level }) => level),
    finest: 1,
    sections: axis.sections,
  })
  const bars = axis.columns.map((column) => levelStack(column, layers))
  const cuts = layers.filter(({ refreshes }) => refreshes > 0).length
  const end =
    rounds.length === 0 ? '; nothing brings them back' : `; they are refreshed in ${counted(cuts, 'place')}`
  const alternative = `Levels of ${layers.length} layers in order, from ${layers[0]?.level ?? 0} down${end}.`
  return {
    id: ID,
    title: 'Levels',
    note: `How many rescalings a layer's result has left. Products use them up${note(rounds.length)}${columnNote(axis, 'the lowest and the highest level')}`,
    legend: legendOf(bars),
    drawing: drawing(frame, ID, alternative, stacks(frame, bars)),
  }
}

const note = (rounds: number): string =>
  rounds === 0
    ? '; the whole network fits into those of one encryption.'
    : '; a refresh brings the values that are still needed back to the top, by way of the client.'

const LEGEND: readonly LegendItem[] = [
  { look: 'bar', text: 'level left' },
  { look: 'rest', text: 'up to the highest of the column' },
  { look: 'back', text: 'brought back by a refresh' },
]

/** What there is to be told apart. */
function legendOf(all: readonly Stack[]): readonly LegendItem[] {
  const bars = all.flatMap((stack) => stack.bars.filter(({ from, to }) => to > from))
  const items = LEGEND.filter(({ look }) => bars.some((bar) => bar.look === look))
  return items.length > 1 ? items : []
}

function levelStack(column: Column, all: readonly LayerReport[]): Stack {
  const layers = itemsOf(column, all)
  const refreshes = sumOf(layers, (layer) => layer.refreshes)
  const lowest = leastOf(layers, restingLevel)
  const highest = mostOf(layers, ({ level }) => level)
  return {
    column,
    bars: [
      { from: 0, to: lowest, look: 'bar' },
      { from: lowest, to: highest, look: refreshes > 0 ? 'back' : 'rest' },
    ],
    tip: `${columnName(column, all)}: ${levelText(lowest, highest, refreshes)}`,
  }
}

/** That of the layer's result before it is refreshed. */
const restingLevel = ({ level, lowestLevel, refreshes }: LayerReport): number =>
  refreshes > 0 ? lowestLevel : level

function levelText(lowest: number, highest: number, refreshes: number): string {
  if (refreshes > 0)
    return `level ${lowest}, then ${counted(refreshes, 'ciphertext')} refreshed to ${highest}`
  return lowest === highest ? `level ${lowest}` : `levels ${lowest} to ${highest}`
}
