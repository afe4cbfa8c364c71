import { operandsOf } from '../circuit/operands.ts'
import type { Circuit, Op, ValueId } from '../circuit/types.ts'

/**
 * Which values of a circuit hybrid key switching leaves in the extended basis of data and special primes, as
 * P times the value modulo Q * P. Sums and weighted sums of such values are taken as they are, with other
 * summands multiplied by P; only a sum's end is divided by P, at once with the primes that a rescale behind
 * it drops.
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
   * 1 for rescaled values that nothing reads but another rescale: both primes are divided by at once, and the
   * value itself is never inQP.
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
    const isKeySwitch = op.kind === 'rotate' || op.kind === 'relinearise'
    const sumsKept = isSum(op) && operandsOf(op).some((operand) => staysInQP[operand] === 1)
    inQP[id] = isKeySwitch || sumsKept ? 1 : 0
    if (id === result) return
    staysInQP[id] = inQP[id] === 1 && canStay(ops, readers[id]) ? 1 : 0
    fusedRescale[id] = op.kind === 'rescale' && onlyRescaled(ops, readers[id]) ? 1 : 0
  })
  return { inQP, staysInQP, fusedRescale, readers }
}

/** The value that a rescale in fact divides: past all that are skipped. */
export function rescaleSource(ops: readonly Op[], fusedRescale: Uint8Array, id: ValueId): ValueId {
  const op = ops[id]
  if (op.kind !== 'rescale') return id
  return fusedRescale[op.source] === 1 ? rescaleSource(ops, fusedRescale, op.source) : op.source
}

/** Sums are linear over whole polynomials, so they can be taken before the division. */
const isSum = ({ kind }: Op): boolean => kind === 'dot' || kind === 'add' || kind === 'subtract'

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
