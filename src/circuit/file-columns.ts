import { PolyVeilError } from '../errors/index.ts'
import { isOuter } from './constant.ts'
import { Contents } from './contents.ts'
import type { Circuit, Constant, Op, OpKind, Term } from './types.ts'

// Operations and constants as columns of binary numbers: deep circuits have a million operations, for which JSON would
// be slow and large. Scales repeat from one operation to the next, so they are kept once and referred to by number.

/** Number of each kind of operation in a file. Part of the format: append only. */
const KINDS: readonly OpKind[] = [
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
]

/** Lengths of the columns; the header states them. */
export interface ColumnCounts {
  readonly ops: number
  readonly terms: number
  readonly scales: number
  readonly constants: number
  readonly distinctConstants: number
  readonly constantValues: number
}

/** The columns in file order: wider numbers first, so that each is aligned. */
export interface Columns {
  readonly scales: Float64Array
  /** The distinct factors of constants, one after the other; a plain constant is one factor. */
  readonly constantValues: Float64Array
  /** Length of each distinct factor. */
  readonly periods: Uint32Array
  /** The distinct factor that each constant is, or that is the fine one of an outer product. */
  readonly constants: Uint32Array
  /** One more than the coarse factor of an outer product, 0 for plain constants. */
  readonly coarse: Uint32Array
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
    termValues: [Uint32Array, counts.terms],
    termConstants: [Uint32Array, counts.terms],
    opLayers: [Uint32Array, counts.ops],
    opScales: [Uint32Array, counts.ops],
    opFirst: [Uint32Array, counts.ops],
    opSecond: [Uint32Array, counts.ops],
    opLevels: [Uint8Array, counts.ops],
    opKinds: [Uint8Array, counts.ops],
  }) as const satisfies Record<keyof Columns, readonly [unknown, number]>

/** The columns of a circuit's operations and constants. */
export function toColumns({ ops, constants }: Pick<Circuit, 'ops' | 'constants'>): Columns {
  const scales = new Numbering()
  const terms = ops.flatMap((op) => (op.kind === 'dot' ? op.terms : []))
  const pairs = ops.map((op) => argumentsOf(op, scales))
  return {
    ...constantColumns(constants),
    opScales: Uint32Array.from(ops, (op) => scales.of(op.scale)),
    scales: Float64Array.from(scales.items),
    termValues: Uint32Array.from(terms, (term) => term.value),
    termConstants: Uint32Array.from(terms, (term) => term.constant),
    opLayers: Uint32Array.from(ops, (op) => op.layer),
    opFirst: Uint32Array.from(pairs, ([first]) => first),
    opSecond: Uint32Array.from(pairs, ([, second]) => second),
    opLevels: Uint8Array.from(ops, (op) => op.level),
    opKinds: Uint8Array.from(ops, (op) => KINDS.indexOf(op.kind)),
  }
}

/** Counts of the columns, for the header. */
export const countsOf = (columns: Columns): ColumnCounts => ({
  ops: columns.opKinds.length,
  terms: columns.termValues.length,
  scales: columns.scales.length,
  constants: columns.constants.length,
  distinctConstants: columns.periods.length,
  constantValues: columns.constantValues.length,
})

/**
 * The operations and constants that columns describe. Equal factors share one array.
 *
 * @throws CONFIG_INVALID when the columns contradict each other; the laws of circuits are `verifyCircuit`'s to check
 */
export function fromColumns(columns: Columns): Pick<Circuit, 'ops' | 'constants'> {
  const distinct = splitFactors(columns)
  const constants = Array.from(columns.constants, (index, id): Constant => {
    const fine = at(distinct, index, 'constant')
    const coarse = columns.coarse[id]
    return coarse === 0 ? fine : { fine, coarse: at(distinct, coarse - 1, 'constant') }
  })
  const terms = takeTerms(columns)
  const ops = Array.from(columns.opKinds, (_, index) => opAt(columns, index, terms.take))
  terms.requireEnd()
  return { ops, constants }
}

/** The two arguments of an operation as they stand in its columns; `opAt` reads them back. */
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
    default:
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
      return { kind, source: first, round: second, ...defines }
    case 'add':
    case 'subtract':
    case 'multiply':
      return { kind, left: first, right: second, ...defines }
    default:
      return { kind, source: first, ...defines }
  }
}

function constantColumns(
  constants: readonly Constant[],
): Pick<Columns, 'constants' | 'coarse' | 'periods' | 'constantValues'> {
  const distinct = new Contents()
  const indices = Uint32Array.from(constants, (constant) =>
    distinct.numberOf(isOuter(constant) ? constant.fine : constant),
  )
  const coarse = Uint32Array.from(constants, (constant) =>
    isOuter(constant) ? 1 + distinct.numberOf(constant.coarse) : 0,
  )
  const periods = Uint32Array.from(distinct.items, (values) => values.length)
  const constantValues = new Float64Array(periods.reduce((sum, period) => sum + period, 0))
  let start = 0
  for (const values of distinct.items) {
    constantValues.set(values, start)
    start += values.length
  }
  return { constants: indices, coarse, periods, constantValues }
}

function splitFactors({ periods, constantValues }: Columns): Float64Array[] {
  let start = 0
  const constants = Array.from(periods, (period) => {
    const end = start + period
    if (end > constantValues.length) throw invalid('constants end early')
    // A view: a buffer of its own for each would take more memory than most of them have values.
    const values = constantValues.subarray(start, end)
    start = end
    return values
  })
  if (start !== constantValues.length) throw invalid('constant values are left over')
  return constants
}

/** Hands out the terms of dots in order. */
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

/** Numbers distinct numbers in the order of their first appearance. */
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
  if (index >= items.length) throw invalid(`there is no ${what} ${index}`)
  return items[index]
}

const invalid = (message: string): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', `The circuit file contradicts itself: ${message}`)
