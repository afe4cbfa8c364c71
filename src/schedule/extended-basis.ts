import { operandsOf } from '../circuit/operands.ts'
import type { Circuit, Op, OpKind, ValueId } from '../circuit/types.ts'

/**
 * Which values of a circuit are computed in the extended basis of data and special primes, as P times the
 * value modulo Q * P. Key switching gives such values. Sums and weighted sums take them as they are, with
 * other summands multiplied by P. The end of a sum is divided by P, at once with the primes of a rescale that
 * follows (a fused rescale).
 *
 * Source: Bossuat, Mouchet, Troncoso-Pastoriza and Hubaux, "Efficient Bootstrapping for Approximate
 * Homomorphic Encryption with Non-Sparse Keys", ePrint 2020/1203, section 4.
 */
export interface ExtendedBasis {
  /**
   * 1 for values that are made in the extended basis: what key switching gives, and sums with a kept summand.
   */
  readonly inQP: Uint8Array
  /**
   * 1 for those of them that stay there, since whatever reads them can. What is made and not kept is divided
   * once.
   */
  readonly staysInQP: Uint8Array
  /**
   * 1 for rescales that only another rescale reads. The other one divides by both primes, and this value is
   * never computed.
   */
  readonly fusedRescale: Uint8Array
  /** The operations that read each value. */
  readonly readers: readonly (readonly ValueId[])[]
}

export function extendedBasis({ ops, result }: Pick<Circuit, 'ops' | 'result'>): ExtendedBasis {
  const readers = readersOf(ops)
  const inQP = new Uint8Array(ops.length)
  const staysInQP = new Uint8Array(ops.length)
  const fusedRescale = new Uint8Array(ops.length)
  ops.forEach((op, id) => {
    const isKeySwitch = ROLES[op.kind] === 'keySwitch'
    const sumsKept = isSum(op) && operandsOf(op).some((operand) => staysInQP[operand] === 1)
    inQP[id] = isKeySwitch || sumsKept ? 1 : 0
    if (id === result) return
    staysInQP[id] = inQP[id] === 1 && canStay(ops, readers[id]) ? 1 : 0
    fusedRescale[id] = op.kind === 'rescale' && onlyRescaled(ops, readers[id]) ? 1 : 0
  })
  return { inQP, staysInQP, fusedRescale, readers }
}

/** The value that a rescale divides, past the fused rescales before it. */
export function rescaleSource(ops: readonly Op[], fusedRescale: Uint8Array, id: ValueId): ValueId {
  const op = ops[id]
  if (op.kind !== 'rescale') return id
  return fusedRescale[op.source] === 1 ? rescaleSource(ops, fusedRescale, op.source) : op.source
}

/**
 * What each kind of operation does with the extended basis. Key switching gives values in it. Sums, and
 * products with i, are linear in the polynomials, so they can be computed before the division. The other
 * kinds read and give values modulo Q.
 */
const ROLES = {
  input: 'other',
  rotate: 'keySwitch',
  conjugate: 'keySwitch',
  timesI: 'sum',
  dot: 'sum',
  addPlain: 'other',
  add: 'sum',
  subtract: 'sum',
  multiply: 'other',
  relinearise: 'keySwitch',
  rescale: 'other',
  dropLevel: 'other',
  refresh: 'other',
  raise: 'keySwitch',
} as const satisfies Record<OpKind, 'keySwitch' | 'sum' | 'other'>

const isSum = ({ kind }: Op): boolean => ROLES[kind] === 'sum'

const canStay = (ops: readonly Op[], readers: readonly ValueId[]): boolean =>
  onlyRescaled(ops, readers) || (readers.length > 0 && readers.every((reader) => isSum(ops[reader])))

const onlyRescaled = (ops: readonly Op[], readers: readonly ValueId[]): boolean =>
  readers.length === 1 && ops[readers[0]].kind === 'rescale'

function readersOf(ops: readonly Op[]): ValueId[][] {
  const readers: ValueId[][] = ops.map(() => [])
  ops.forEach((op, id) => {
    for (const operand of operandsOf(op)) {
      if (readers[operand].at(-1) !== id) readers[operand].push(id)
    }
  })
  return readers
}
