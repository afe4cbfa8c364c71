import { operandsOf } from '../../../circuit/operands.ts'
import type { Circuit, Op, ValueId } from '../../../circuit/types.ts'

type Body = Pick<Circuit, 'ops' | 'result'>

/** How the values of a circuit are kept, so that divisions by the special primes are as few as can be. */
export interface Representations {
  /** 1 for values that are computed in the extended basis (`Value.extended`). */
  readonly computedExtended: Uint8Array
  /** 1 for those of them that stay in it: all who read them can do so, and each division is put off to a sum's end. */
  readonly keptExtended: Uint8Array
  /**
   * 1 for rescaled values that nobody reads but another rescale: both primes are divided by at once, and the value itself
   * is never made.
   */
  readonly skipped: Uint8Array
  /** The operations that read each value. */
  readonly readers: readonly (readonly ValueId[])[]
}

/**
 * Key switching gives P times its result modulo Q * P. Sums and weighted sums of such values are formed as they are, with
 * normal summands multiplied by P; only the sum is divided by P, together with the primes that a following rescale drops.
 * The result is always kept normal.
 */
export function representations({ ops, result }: Body): Representations {
  const readers = readersOf(ops)
  const computedExtended = new Uint8Array(ops.length)
  const keptExtended = new Uint8Array(ops.length)
  const skipped = new Uint8Array(ops.length)
  ops.forEach((op, id) => {
    const isSum = op.kind === 'dot' || op.kind === 'add' || op.kind === 'subtract'
    const switches = op.kind === 'rotate' || op.kind === 'relinearise'
    if (switches || (isSum && operandsOf(op).some((operand) => keptExtended[operand] === 1))) {
      computedExtended[id] = 1
      if (id !== result && canStay(ops, readers[id])) keptExtended[id] = 1
    }
    if (op.kind === 'rescale' && id !== result) {
      const [reader] = readers[id]
      if (readers[id].length === 1 && ops[reader].kind === 'rescale') skipped[id] = 1
    }
  })
  return { computedExtended, keptExtended, skipped, readers }
}

/** Sums take extended summands, and one rescale divides by its own prime and by P at once. */
function canStay(ops: readonly Op[], readers: readonly ValueId[]): boolean {
  const kinds = readers.map((reader) => ops[reader].kind)
  if (kinds.length === 1 && kinds[0] === 'rescale') return true
  return kinds.length > 0 && kinds.every((kind) => kind === 'dot' || kind === 'add' || kind === 'subtract')
}

function readersOf(ops: readonly Op[]): ValueId[][] {
  const readers: ValueId[][] = ops.map(() => [])
  ops.forEach((op, id) => {
    for (const operand of new Set(operandsOf(op))) readers[operand].push(id)
  })
  return readers
}

/** The value that a rescale in fact divides: past all skipped ones. */
export function divided(ops: readonly Op[], skipped: Uint8Array, id: ValueId): ValueId {
  const op = ops[id]
  if (op.kind !== 'rescale') return id
  return skipped[op.source] === 1 ? divided(ops, skipped, op.source) : op.source
}
