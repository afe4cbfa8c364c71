import type { LayerReport, PlanReport } from '../../../compiler/index.ts'
import { itemsOf, leastOf } from './columns.ts'
import type { Figure } from './figure.ts'
import { drawing, frameOf } from './frame.ts'
import { columnNote, type LayerAxis, layerTip } from './layer-axis.ts'
import { goal, steps, tipMarks } from './marks.ts'
import { bitsText } from './texts.ts'

const ID = 'precision'

/**
 * Upper limit of the axis in bits. A file may state any number, but double precision has no more than this.
 */
const MOST_BITS = 64
/** The axis ends at this multiple of the logits' precision. */
const SHOWN_PRECISION = 2

/** Precision of each layer's tensor, and of the logits if only this tensor had an error. */
export function precisionChart(plan: PlanReport, axis: LayerAxis): Figure {
  const { layers } = plan
  const tensor = axis.columns.map((column) => leastOf(itemsOf(column, layers), precisionOf))
  const logits = axis.columns.map((column) => leastOf(itemsOf(column, layers), logitsOf))
  const most = Math.max(SHOWN_PRECISION * plan.precisionBits, ...tensor)
  const frame = frameOf({
    ...axis.axes,
    most: Math.min(MOST_BITS, most),
    unit: ' bits',
  })
  const tips = axis.columns.map((column, i) =>
    layerTip(column, layers, `${bitsText(tensor[i])}, of logits ${bitsText(logits[i])}`, ID),
  )
  return {
    id: ID,
    title: 'Precision',
    note:
      'Ciphertexts carry small errors. With 10 bits an error is about a thousandth of the value. ' +
      'A tensor can be less precise than the logits, as not all of its errors matter to them; layers that hardly err go ' +
      'beyond the top.' +
      columnNote(axis, 'the least precise'),
    legend: [
      { look: 'line', text: 'the layer’s tensor, with all errors so far' },
      { look: 'second', text: 'the logits, if this layer alone erred' },
      { look: 'goal', text: `the logits, with all errors: ${bitsText(plan.precisionBits)}` },
    ],
    drawing: drawing(frame, alternative(plan, tensor), [
      ...tipMarks(frame, axis.columns, tips),
      goal(frame, plan.precisionBits),
      steps(frame, 'second', axis.columns, logits),
      steps(frame, 'line', axis.columns, tensor),
    ]),
  }
}

const precisionOf = ({ precisionBits }: LayerReport): number => precisionBits

const logitsOf = ({ logitBits }: LayerReport): number => logitBits

const alternative = ({ layers, precisionBits }: PlanReport, tensor: readonly number[]): string =>
  `Precision of ${layers.length} layers in order, at least ${bitsText(leastOf(tensor, (bits) => bits))}; ` +
  `the logits have ${bitsText(precisionBits)}.`
