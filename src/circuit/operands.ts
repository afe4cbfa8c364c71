import type { Op, ValueId } from './types.ts'

/** The values that an operation reads, in order and with repetitions. */
export function operandsOf(op: Op): readonly ValueId[] {
  switch (op.kind) {
    case 'input':
      return []
    case 'dot':
      return op.terms.map((term) => term.value)
    case 'add':
    case 'subtract':
    case 'multiply':
      return [op.left, op.right]
    case 'rotate':
    case 'conjugate':
    case 'timesI':
    case 'addPlain':
    case 'relinearise':
    case 'rescale':
    case 'dropLevel':
    case 'refresh':
    case 'raise':
      return [op.source]
    default:
      op satisfies never
      // `verifyCircuit` refuses a kind that does not exist.
      return []
  }
}

/** The operation with each value that it reads replaced by another one. */
export function withOperands(op: Op, replacement: (value: ValueId) => ValueId): Op {
  switch (op.kind) {
    case 'input':
      return op
    case 'dot':
      return { ...op, terms: op.terms.map((term) => ({ ...term, value: replacement(term.value) })) }
    case 'add':
    case 'subtract':
    case 'multiply':
      return { ...op, left: replacement(op.left), right: replacement(op.right) }
    default:
      return { ...op, source: replacement(op.source) }
  }
}
