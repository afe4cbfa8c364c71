import type { LayerReport, PlanReport } from '../../../compiler/index.ts'
import { mostOf } from './columns.ts'
import type { Figure, LegendItem } from './figure.ts'
import { drawing, frameOf, isWide } from './frame.ts'
import type { LayerAxis } from './layer-axis.ts'
import { type Stack, stacks } from './marks.ts'
import { counted } from './texts.ts'

const ID = 'levels'

/**
 * Columns of several layers would hide how levels fall, so each has its own, if the drawing is wider than the
 * page for it.
 */
const LAYER_WIDTH = 4

/** How levels fall from layer to layer, and where refreshes bring them back. */
export function levelChart(plan: PlanReport, { sections }: LayerAxis): Figure {
  const { layers, rounds } = plan
  const frame = frameOf({
    count: layers.length,
    most: mostOf(layers, ({ level }) => level),
    finest: 1,
    itemWidth: LAYER_WIDTH,
    sections,
  })
  return {
    id: ID,
    title: 'Levels',
    note: `How many rescalings a layer’s result has left. Products use them up${note(rounds.length)}${isWide(frame) ? SCROLL : ''}`,
    legend: rounds.length === 0 ? [] : LEGEND,
    drawing: drawing(frame, ID, alternative(plan), stacks(frame, layers.map(levelStack))),
  }
}

const note = (rounds: number): string =>
  rounds === 0
    ? '; the whole network fits into those of one encryption.'
    : '; a refresh brings the values that are still needed back to the top, by way of the client.'

const SCROLL = ' Scroll to the right to see all layers.'

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

function levelStack({ name, level, lowestLevel, refreshes }: LayerReport, index: number): Stack {
  // The level of the result before it is refreshed.
  const left = refreshes > 0 ? lowestLevel : level
  const text = refreshes > 0 ? `, then ${counted(refreshes, 'ciphertext')} refreshed to ${level}` : ''
  return {
    column: { from: index, to: index + 1 },
    bars: [
      { from: 0, to: left, look: 'bar' },
      { from: left, to: level, look: 'back' },
    ],
    tip: `${index + 1} ${name}: level ${left}${text}`,
  }
}
