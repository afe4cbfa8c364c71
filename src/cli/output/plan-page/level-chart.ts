import type { LayerReport, PlanReport } from '../../../compiler/index.ts'
import { counted } from '../../../text/counted.ts'
import { mostOf } from './columns.ts'
import type { Figure, LegendItem } from './figure.ts'
import { drawing, frameOf } from './frame.ts'
import { layerTip, namedAxis } from './layer-axis.ts'
import { type Stack, stacks } from './marks.ts'
import { renewedIn, type Way, wayOf } from './way.ts'

const ID = 'levels'

/**
 * How levels fall from layer to layer, and where refreshes or restorations bring them back. Columns of
 * several layers would hide that, so each layer has its own.
 */
export function levelChart(plan: PlanReport): Figure {
  const { layers } = plan
  const way = wayOf(plan)
  const frame = frameOf({
    ...namedAxis(layers).axes,
    most: mostOf(layers, ({ level }) => level),
    finest: 1,
  })
  return {
    id: ID,
    title: 'Levels',
    note: `How many rescalings a layer’s result has left. Products use them up${NOTES[way]}`,
    legend: way === 'nobody' ? [] : [LEFT, { look: 'back', text: `brought back by a ${EVENTS[way]}` }],
    drawing: drawing(
      frame,
      alternative(plan),
      stacks(
        frame,
        layers.map((_, index) => levelStack(layers, index, way)),
      ),
    ),
  }
}

const NOTES: Readonly<Record<Way, string>> = {
  nobody: '; the whole network fits into those of one encryption.',
  client: '; a refresh brings the values that are still needed back to the top, by way of the client.',
  server: '; a restoration brings the values that are still needed back, at the server.',
}

const EVENTS = { client: 'refresh', server: 'restoration' } as const
const VERBS: Readonly<Record<Way, string>> = { nobody: '', client: 'refreshed', server: 'restored' }

const LEFT: LegendItem = { look: 'bar', text: 'level left' }

function alternative(plan: PlanReport): string {
  const { layers } = plan
  const way = wayOf(plan)
  const cuts = layers.filter((layer) => renewedIn(layer) > 0).length
  const end =
    way === 'nobody' ? 'nothing brings them back' : `they are ${VERBS[way]} in ${counted(cuts, 'place')}`
  return `Levels of ${layers.length} layers in order, from ${layers[0]?.level ?? 0} down; ${end}.`
}

function levelStack(layers: readonly LayerReport[], index: number, way: Way): Stack {
  const { level, lowestLevel } = layers[index]
  const renewed = renewedIn(layers[index])
  const column = { from: index, to: index + 1 }
  // The level of the result before it is brought back.
  const left = renewed > 0 ? lowestLevel : level
  const text = renewed > 0 ? `, then ${counted(renewed, 'ciphertext')} ${VERBS[way]} to ${level}` : ''
  return {
    column,
    bars: [
      { from: 0, to: left, look: 'bar' },
      { from: left, to: level, look: 'back' },
    ],
    tip: layerTip(column, layers, `level ${left}${text}`, 'level'),
  }
}
