import type { PlanReport } from '../../../compiler/index.ts'
import { counted } from '../../../text/counted.ts'
import { type Column, columnSize, columnsOf, itemsOf, mostOf, sumOf } from './columns.ts'
import { type Figure, figure } from './figure.ts'
import { drawing, frameOf } from './frame.ts'
import { type Stack, stacks } from './marks.ts'
import { type Markup, markup } from './markup.ts'
import { dataTable, type TableColumn } from './table.ts'

const ID = 'rounds'
/** Rounds are all alike, so that thin columns are enough. */
const MOST_COLUMNS = 480

/** How many ciphertexts go to the client and back in each round; nothing for one shot. */
export const roundChart = ({ rounds }: PlanReport): Markup | undefined =>
  rounds.length === 0 ? undefined : markup`${figure(roundFigure(rounds))}${roundTable(rounds)}`

function roundFigure(rounds: readonly number[]): Figure {
  const columns = columnsOf(rounds.length, MOST_COLUMNS)
  const meanOf = (column: Column): number => {
    const own = itemsOf(column, rounds)
    return sumOf(own, (count) => count) / own.length
  }
  const frame = frameOf({ count: rounds.length, most: mostOf(columns, meanOf), finest: 1 })
  const bars = columns.map((column): Stack => {
    const value = meanOf(column)
    return {
      column,
      bars: [{ from: 0, to: value, look: 'back' }],
      tip: { text: tip(column, value), target: roundId(column.from) },
    }
  })
  const total = sumOf(rounds, (count) => count)
  const alternative = `Ciphertexts of ${counted(rounds.length, 'refresh round')} in order, ${total} together.`
  return {
    id: ID,
    title: 'Refresh rounds',
    note: `Ciphertexts that go to the client and back in each round, masked: ${total} in ${counted(rounds.length, 'round')}. The server works on while a round is away.${note(columns)}`,
    drawing: drawing(frame, alternative, stacks(frame, bars)),
  }
}

/** All rounds, closed until a reader opens it or touches a column. */
const roundTable = (rounds: readonly number[]): Markup =>
  markup`<details><summary>All refresh rounds</summary>
${dataTable('Ciphertexts of each refresh round', COLUMNS, rounds, { id: roundId })}</details>`

const roundId = (index: number): string => `round-${index + 1}`

const COLUMNS: readonly TableColumn<number>[] = [
  { heading: 'round', cell: (_, index) => index + 1, isName: true },
  { heading: 'ciphertexts', cell: (count) => count, isNumber: true },
]

const tip = ({ from, to }: Column, value: number): string =>
  to - from === 1
    ? `round ${to}: ${counted(value, 'ciphertext')}`
    : `rounds ${from + 1} to ${to}: ${value.toFixed(1)} each`

const note = (columns: readonly Column[]): string => {
  const size = columnSize(columns)
  return size === 1 ? '' : ` Each column stands for ${size} rounds: their mean.`
}
