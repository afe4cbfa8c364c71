import { operandsOf, withOperands } from '../../circuit/operands.ts'
import type { Op, ValueId } from '../../circuit/types.ts'

/** Operations with what is known of each, and the value that they are for. */
export interface Body {
  readonly ops: readonly Op[]
  /** Multiplicity of each operation. */
  readonly counts: readonly number[]
  /** Index of the noise source of each operation. */
  readonly noiseSourceOf: readonly number[]
  readonly result: ValueId
}

/**
 * Removes operations that the result does not depend on. There are some where all weights that read a
 * ciphertext are zero. Inputs stay, because clients send all of them. Rounds without a refresh are closed up.
 *
 * @returns the body itself where every operation is used
 */
export function withoutUnused(body: Body): Body {
  const { ops, counts, noiseSourceOf, result } = body
  const used = usedBy(ops, result)
  const kept = ops.flatMap((op, id) => (used[id] === 1 || op.kind === 'input' ? [id] : []))
  if (kept.length === ops.length) return body
  const renumbered = new Int32Array(ops.length).fill(-1)
  kept.forEach((old, id) => {
    renumbered[old] = id
  })
  const roundOf = closedUp(kept.map((id) => ops[id]))
  return {
    ops: kept.map((id) => {
      const op = withOperands(ops[id], (value) => renumbered[value])
      return op.kind === 'refresh' ? { ...op, round: roundOf.get(op.round)! } : op
    }),
    counts: kept.map((id) => counts[id]),
    noiseSourceOf: kept.map((id) => noiseSourceOf[id]),
    result: renumbered[result],
  }
}

/** 1 for each operation that the result depends on. */
function usedBy(ops: readonly Op[], result: ValueId): Uint8Array {
  const used = new Uint8Array(ops.length)
  used[result] = 1
  for (let id = ops.length - 1; id >= 0; id--) {
    if (used[id] === 1) for (const operand of operandsOf(ops[id])) used[operand] = 1
  }
  return used
}

/** New numbers of the rounds that have refreshes, in the same order. */
function closedUp(ops: readonly Op[]): ReadonlyMap<number, number> {
  const rounds = new Set(ops.flatMap((op) => (op.kind === 'refresh' ? [op.round] : [])))
  return new Map([...rounds].sort((a, b) => a - b).map((round, index) => [round, index]))
}
