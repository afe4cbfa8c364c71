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
      return [op.source]
    default:
      op satisfies never
      // `verifyCircuit` refuses a kind that does not exist.
      return []
  }
}
