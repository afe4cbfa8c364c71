import { PolyVeilError } from '../../errors/index.ts'
import { ConstantTable, constantTable, type Factors } from '../constants/constant-table.ts'
import { MAX_ROUNDS } from '../manifest/bounds.ts'
import type { Circuit, EveryOpKind, Op, Term } from '../types.ts'

// Operations and constants are stored as columns of binary numbers, because deep circuits have a million
// operations, for which JSON would be slow and large. Scales repeat from one operation to the next, so each
// distinct scale is stored once.

/** Code of each kind of operation in a file. It is part of the format: append only. */
const KINDS = [
  'input',
  'rotate',
  'dot',
  'addPlain',
  'add',
  'subtract',
  'multiply',
  'relinearise',
  'rescale',
  'dropLevel',
  'refresh',
  'conjugate',
  'timesI',
  'raise',
] as const
KINDS satisfies EveryOpKind<typeof KINDS>

/** Lengths of the columns; the header states them. */
export interface ColumnCounts {
  readonly ops: number
  readonly terms: number
  readonly scales: number
  readonly constants: number
  readonly distinctConstants: number
  readonly constantValues: number
  /** As `constants`; absent where all constants are real. */
  readonly imaginary?: number
}

/** The columns in file order: wider numbers first, so that each is aligned. */
export interface Columns {
  readonly scales: Float64Array
  /** The distinct factors of constants, one after the other; a plain constant is one factor. */
  readonly constantValues: Float64Array
  /** Length of each distinct factor, in the order in which constants first refer to them. */
  readonly periods: Uint32Array
  /**
   * The distinct factor that each constant is, or that is the fine one of an outer product; its real parts
   * where it is complex.
   */
  readonly constants: Uint32Array
  /** One more than the coarse factor of an outer product, 0 for plain constants. */
  readonly coarse: Uint32Array
  /**
   * One more than the distinct factor with a constant's imaginary parts, 0 for real ones. Empty where all
   * constants are real.
   */
  readonly imaginary: Uint32Array
  readonly termValues: Uint32Array
  readonly termConstants: Uint32Array
  readonly opLayers: Uint32Array
  readonly opScales: Uint32Array
  /** Two arguments of each operation; their meaning depends on the kind. */
  readonly opFirst: Uint32Array
  readonly opSecond: Uint32Array
  readonly opLevels: Uint8Array
  readonly opKinds: Uint8Array
}

/** The length and number type of each column, in file order. */
export const columnShapes = (counts: ColumnCounts) =>
  ({
    scales: [Float64Array, counts.scales],
    constantValues: [Float64Array, counts.constantValues],
    periods: [Uint32Array, counts.distinctConstants],
    constants: [Uint32Array, counts.constants],
    coarse: [Uint32Array, counts.constants],
    imaginary: [Uint32Array, counts.imaginary ?? 0],
    termValues: [Uint32Array, counts.terms],
    termConstants: [Uint32Array, counts.terms],
    opLayers: [Uint32Array, counts.ops],
    opScales: [Uint32Array, counts.ops],
    opFirst: [Uint32Array, counts.ops],
    opSecond: [Uint32Array, counts.ops],
    opLevels: [Uint8Array, counts.ops],
    opKinds: [Uint8Array, counts.ops],
  }) as const satisfies Record<keyof Columns, readonly [unknown, number]>

/** The columns of a circuit. The longest, the values of constants, is made only while it is written. */
export interface ColumnsToWrite extends Omit<Columns, 'constantValues'> {
  /** In the order of `periods`. */
  readonly factors: Factors
  readonly constantValueCount: number
}

/** The columns of a circuit's operations and constants. */
export function toColumns({ ops, constants }: Pick<Circuit, 'ops' | 'constants'>): ColumnsToWrite {
  const scales = new Numbering()
  const pairs = ops.map((op) => argumentsOf(op, scales))
  return {
    ...constantColumns(constantTable(constants)),
    opScales: Uint32Array.from(ops, (op) => scales.of(op.scale)),
    scales: Float64Array.from(scales.items),
    ...termColumns(ops),
    opLayers: Uint32Array.from(ops, (op) => op.layer),
    opFirst: Uint32Array.from(pairs, ([first]) => first),
    opSecond: Uint32Array.from(pairs, ([, second]) => second),
    opLevels: Uint8Array.from(ops, (op) => op.level),
    opKinds: Uint8Array.from(ops, (op) => KINDS.indexOf(op.kind)),
  }
}

/** Counts of the columns, for the header. */
export const countsOf = (columns: ColumnsToWrite): ColumnCounts => ({
  ops: columns.opKinds.length,
  terms: columns.termValues.length,
  scales: columns.scales.length,
  constants: columns.constants.length,
  distinctConstants: columns.periods.length,
  constantValues: columns.constantValueCount,
  ...(columns.imaginary.length > 0 && { imaginary: columns.imaginary.length }),
})

/**
 * Rebuilds operations and constants from columns. Equal factors share one array.
 *
 * @throws CONFIG_INVALID when the columns contradict each other; `verifyCircuit` checks the laws of circuits
 */
export function fromColumns(columns: Columns): Pick<Circuit, 'ops' | 'constants'> {
  const constants = storedConstants(columns)
  const terms = takeTerms(columns)
  const ops = Array.from(columns.opKinds, (_, index) => opAt(columns, index, terms.take))
  terms.requireEnd()
  return { ops, constants }
}

/** The two arguments of an operation in its columns; `opAt` reads them back. */
function argumentsOf(op: Op, scales: Numbering): readonly [number, number] {
  switch (op.kind) {
    case 'input':
      return [op.index, 0]
    case 'rotate':
      return [op.source, op.steps]
    case 'dot':
      return [op.terms.length, scales.of(op.constantScale)]
    case 'addPlain':
      return [op.source, op.constant]
    case 'refresh':
      return [op.source, op.round]
    case 'add':
    case 'subtract':
    case 'multiply':
      return [op.left, op.right]
    case 'conjugate':
    case 'timesI':
    case 'relinearise':
    case 'rescale':
    case 'dropLevel':
    case 'raise':
      return [op.source, 0]
  }
}

function opAt(columns: Columns, index: number, takeTerms: (count: number) => Term[]): Op {
  const first = columns.opFirst[index]
  const second = columns.opSecond[index]
  const kind = at(KINDS, columns.opKinds[index], 'operation')
  const defines = {
    layer: columns.opLayers[index],
    level: columns.opLevels[index],
    scale: at(columns.scales, columns.opScales[index], 'scale'),
  }
  switch (kind) {
    case 'input':
      return { kind, index: first, ...defines }
    case 'rotate':
      return { kind, source: first, steps: second, ...defines }
    case 'dot': {
      const constantScale = at(columns.scales, second, 'scale')
      return { kind, terms: takeTerms(first), constantScale, ...defines }
    }
    case 'addPlain':
      return { kind, source: first, constant: second, ...defines }
    case 'refresh':
      // A list of rounds is as long as the largest round number.
      requireIndex(second, MAX_ROUNDS, 'round')
      return { kind, source: first, round: second, ...defines }
    case 'add':
    case 'subtract':
    case 'multiply':
      return { kind, left: first, right: second, ...defines }
    case 'conjugate':
    case 'timesI':
    case 'relinearise':
    case 'rescale':
    case 'dropLevel':
    case 'raise':
      return { kind, source: first, ...defines }
  }
}

function termColumns(ops: readonly Op[]): Pick<Columns, 'termValues' | 'termConstants'> {
  const count = ops.reduce((sum, op) => sum + (op.kind === 'dot' ? op.terms.length : 0), 0)
  const termValues = new Uint32Array(count)
  const termConstants = new Uint32Array(count)
  let next = 0
  for (const op of ops) {
    if (op.kind !== 'dot') continue
    for (const { value, constant } of op.terms) {
      termValues[next] = value
      termConstants[next++] = constant
    }
  }
  return { termValues, termConstants }
}

/**
 * Numbers factors in the order in which constants first refer to them: fine ones, then coarse ones, then
 * imaginary parts.
 */
function constantColumns(
  table: ConstantTable,
): Pick<ColumnsToWrite, 'constants' | 'coarse' | 'imaginary' | 'periods' | 'factors' | 'constantValueCount'> {
  const { factors, fine } = table
  const renumbered = new Renumbering(factors.length)
  const constants = Uint32Array.from({ length: fine.length }, (_, id) => renumbered.of(fine.at(id)!))
  const [coarse, imaginary] = [table.coarse, table.imaginary].map((words) =>
    Uint32Array.from({ length: fine.length }, (_, id) => {
      const number = words.at(id)!
      return number === 0 ? 0 : 1 + renumbered.of(number - 1)
    }),
  )
  const inOrder = renumbered.order()
  const periods = Uint32Array.from(inOrder, (number) => factors.at(number).length)
  return {
    constants,
    coarse,
    imaginary: imaginary.every((number) => number === 0) ? NO_WORDS : imaginary,
    periods,
    factors: { length: inOrder.length, at: (number) => factors.at(inOrder[number]) },
    constantValueCount: periods.reduce((sum, period) => sum + period, 0),
  }
}

const NO_WORDS = new Uint32Array(0)

/** Renumbers numbers in the order of first use. */
class Renumbering {
  /** The new number of each old number, plus one. */
  readonly #numbers: Uint32Array
  readonly #order: Uint32Array
  #count = 0

  /** @param length bound of the numbers */
  constructor(length: number) {
    this.#numbers = new Uint32Array(length)
    this.#order = new Uint32Array(length)
  }

  of(number: number): number {
    if (this.#numbers[number] === 0) {
      this.#order[this.#count++] = number
      this.#numbers[number] = this.#count
    }
    return this.#numbers[number] - 1
  }

  /** The old numbers, in the order of the new ones. */
  order(): Uint32Array {
    return this.#order.subarray(0, this.#count)
  }
}

/** Constants that are read from the columns each time, and take no other memory. */
function storedConstants(columns: Columns): ConstantTable {
  const { constants, coarse, imaginary, constantValues, periods } = columns
  if (imaginary.length > 0 && imaginary.length !== constants.length)
    throw invalid('imaginary parts end early')
  const starts = startsOf(columns)
  for (const factor of constants) requireIndex(factor, periods.length, 'constant')
  for (const column of [coarse, imaginary]) {
    for (const factor of column) if (factor > 0) requireIndex(factor - 1, periods.length, 'constant')
  }
  const factors = {
    length: periods.length,
    at: (number: number) => constantValues.subarray(starts[number], starts[number] + periods[number]),
  }
  return new ConstantTable(factors, constants, coarse, imaginary.length > 0 ? imaginary : undefined)
}

/** The start of each factor's values. */
function startsOf({ periods, constantValues }: Columns): Uint32Array {
  const starts = new Uint32Array(periods.length)
  let start = 0
  periods.forEach((period, number) => {
    starts[number] = start
    start += period
    if (start > constantValues.length) throw invalid('constants end early')
  })
  if (start !== constantValues.length) throw invalid('constant values are left over')
  return starts
}

/** Gives the terms of dots in order. */
function takeTerms({ termValues, termConstants }: Columns) {
  let start = 0
  return {
    take(count: number): Term[] {
      const from = start
      start += count
      if (start > termValues.length) throw invalid('terms end early')
      return Array.from({ length: count }, (_, i) => ({
        value: termValues[from + i],
        constant: termConstants[from + i],
      }))
    },
    requireEnd(): void {
      if (start !== termValues.length) throw invalid('terms are left over')
    },
  }
}

/** Numbers distinct values in the order of first use. */
class Numbering {
  readonly items: number[] = []
  readonly #numbers = new Map<number, number>()

  of(item: number): number {
    const known = this.#numbers.get(item)
    if (known !== undefined) return known
    const number = this.items.push(item) - 1
    this.#numbers.set(item, number)
    return number
  }
}

function at<T>(items: ArrayLike<T>, index: number, what: string): T {
  requireIndex(index, items.length, what)
  return items[index]
}

function requireIndex(index: number, length: number, what: string): void {
  if (index >= length) throw invalid(`there is no ${what} ${index}`)
}

const invalid = (message: string): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', `The circuit file contradicts itself: ${message}`)
