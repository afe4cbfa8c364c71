import type { ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'

/** A value that a convolution has made with the operations `start` .. `end - 1`. */
export interface LoweredValue {
  readonly value: ValueId
  readonly start: ValueId
  readonly end: ValueId
}

/**
 * Appends a copy of a lowered value to a draft. Rotations of values from before `start` are shared and not
 * copied.
 *
 * @returns the copy of the value
 */
export function replicate(builder: CircuitBuilder, { value, start, end }: LoweredValue): ValueId {
  const copies = new Map<ValueId, ValueId>()
  const copyOf = (id: ValueId): ValueId => copies.get(id) ?? id
  for (let id = start; id < end; id++) {
    const op = builder.ops[id]
    if (op.kind === 'dot') copies.set(id, builder.repeatDot(id))
    else if (op.kind === 'add') copies.set(id, builder.add(copyOf(op.left), copyOf(op.right)))
    else if (op.kind === 'conjugate') copies.set(id, builder.conjugate(copyOf(op.source)))
    else if (op.kind !== 'rotate') throw new Error(`No convolution makes a ${op.kind}`)
    else if (copies.has(op.source)) copies.set(id, builder.rotate(copyOf(op.source), op.steps))
  }
  return copyOf(value)
}
