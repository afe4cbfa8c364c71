import { operandsOf } from '../circuit/operands.ts'
import type { Op, ValueId } from '../circuit/types.ts'

// Refresh rounds overlap: while the client works at one round, the engine computes values that other rounds
// need. Waves order the operations so that the engine has work in the meantime.

/**
 * Operations that go together: those that can be done once a round is over, for the round whose turn is next.
 */
export interface Wave {
  /** The last round that must be over before the wave; -1 for none. */
  readonly after: number
  /** Ascending. They read results of earlier waves and values that rounds up to `after` have refreshed. */
  readonly ops: readonly ValueId[]
}

/**
 * Divides a circuit's operations into waves, in the order of execution. Operations that need fewer rounds go
 * first, so that the engine waits for a client only when nothing else can be done. Among these, operations
 * that an earlier round needs go first, so that its values are sent before the next ones are computed.
 */
export function wavesOf(ops: readonly Op[]): Wave[] {
  const after = roundsBefore(ops)
  const before = roundsAfter(ops)
  const ids = ops.map((_, id) => id)
  const byNeed = Map.groupBy(ids, (id) => after[id])
  return ascending(byNeed).flatMap(([need, members]) =>
    ascending(Map.groupBy(members, (id) => before[id])).map(([, own]) => ({ after: need, ops: own })),
  )
}

/**
 * For each operation the last round that has to be over before it, those of one round all alike; -1 for none.
 */
function roundsBefore(ops: readonly Op[]): Int32Array {
  const needs = new Int32Array(ops.length)
  const rounds: number[] = []
  ops.forEach((op, id) => {
    const operands = operandsOf(op)
    needs[id] = operands.reduce((most, operand) => Math.max(most, lastRound(ops, needs, operand)), -1)
    if (op.kind === 'refresh') rounds[op.round] = Math.max(rounds[op.round] ?? -1, needs[id])
  })
  ops.forEach((op, id) => {
    if (op.kind === 'refresh') needs[id] = rounds[op.round]
  })
  return needs
}

/** The last round that must be over before a value exists. */
function lastRound(ops: readonly Op[], needs: Int32Array, id: ValueId): number {
  const op = ops[id]
  return op.kind === 'refresh' ? op.round : needs[id]
}

/**
 * For each operation the first round that waits for it, itself or through others; infinite where it is the
 * result's.
 */
function roundsAfter(ops: readonly Op[]): Float64Array {
  const serves = new Float64Array(ops.length).fill(Infinity)
  for (let id = ops.length - 1; id >= 0; id--) {
    const op = ops[id]
    if (op.kind === 'refresh') serves[id] = op.round
    for (const operand of operandsOf(op)) serves[operand] = Math.min(serves[operand], serves[id])
  }
  return serves
}

const ascending = <T>(groups: Map<number, T>): [number, T][] => [...groups].sort(([a], [b]) => a - b)
