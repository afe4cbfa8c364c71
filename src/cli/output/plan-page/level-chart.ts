import type { LayerReport, PlanReport } from '../../../compiler/index.ts'
import { mostOf } from './columns.ts'
import type { Figure, LegendItem } from './figure.ts'
import { drawing, frameOf } from './frame.ts'
import { layerTip, namedAxis } from './layer-axis.ts'
import { type Stack, stacks } from './marks.ts'
import { counted } from './texts.ts'

const ID = 'levels'

/**
 * How levels fall from layer to layer, and where refreshes bring them back. Columns of several layers would
 * hide that, so each layer has its own.
 */
export function levelChart(plan: PlanReport): Figure {
  const { layers, rounds } = plan
  const frame = frameOf({
    ...namedAxis(layers).axes,
    most: mostOf(layers, ({ level }) => level),
    finest: 1,
  })
  return {
    id: ID,
    title: 'Levels',
    note: `How many rescalings a layer’s result has left. Products use them up${note(rounds.length)}`,
    legend: rounds.length === 0 ? [] : LEGEND,
    drawing: drawing(
      frame,
      alternative(plan),
      stacks(
        frame,
        layers.map((_, index) => levelStack(layers, index)),
      ),
    ),
  }
}

const note = (rounds: number): string =>
  rounds === 0
    ? '; the whole network fits into those of one encryption.'
    : '; a refresh brings the values that are still needed back to the top, by way of the client.'

const LEGEND: readonly LegendItem[] = [
  { look: 'bar', text: 'level left' },
  { look: 'back', text: 'brought back by a refresh' },
]

function alternative({ layers, rounds }: PlanReport): string {
  const cuts = layers.filter(({ refreshes }) => refreshes > 0).length
  const end =
    rounds.length === 0 ? 'nothing brings them back' : `they are refreshed in ${counted(cuts, 'place')}`
  return `Levels of ${layers.length} layers in order, from ${layers[0]?.level ?? 0} down; ${end}.`
}

function levelStack(layers: readonly LayerReport[], index: number): Stack {
  const { level, lowestLevel, refreshes } = layers[index]
  const column = { from: index, to: index + 1 }
  // The level of the result before it is refreshed.
  const left = refreshes > 0 ? lowestLevel : level
  const text = refreshes > 0 ? `, then ${counted(refreshes, 'ciphertext')} refreshed to ${level}` : ''
  return {
    column,
    bars: [
      { from: 0, to: left, look: 'bar' },
      { from: left, to: level, look: 'back' },
    ],
    tip: layerTip(column, layers, `level ${left}${text}`, 'level'),
  }
}
