import type { ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'

/** A value that a convolution has made with the operations `start` .. `end - 1`. */
export interface LoweredValue<V extends ValueId | undefined> {
  readonly value: V
  readonly start: ValueId
  readonly end: ValueId
}

/**
 * Appends a copy of a lowered value to a draft. Rotations of values from before `start` are shared and not
 * copied.
 *
 * @returns the copy of the value
 */
export function replicate<V extends ValueId | undefined>(
  builder: CircuitBuilder,
  { value, start, end }: LoweredValue<V>,
): V {
  const copies = new Map<ValueId, ValueId>()
  const copyOf = <W extends ValueId | undefined>(id: W): W =>
    id === undefined ? id : ((copies.get(id) ?? id) as W)
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
