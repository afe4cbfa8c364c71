import { conjugationElement, galoisElement } from '../circuit/keys.ts'
import type { Circuit, ConstantId, Op } from '../circuit/types.ts'
import { maxDigitSources, stepsOf } from './steps.ts'

// Kernels reach 4 GB of memory. A circuit whose keys and weights take more keeps some of them in far memory,
// which kernels do not reach. They are copied to kernel memory each time that a step reads them. The rule
// which ones are kept there is here and not in the engine, because plans state the memory that it leads to.

/**
 * A key of a circuit: the Galois element of a Galois key, the relinearisation key, or that of the switch back
 * from the ephemeral secret.
 */
export type KeyName = number | 'relin' | 'up'

/** The keys and weights of a circuit that are kept in far memory. */
export interface FarStorage {
  isFarKey(name: KeyName): boolean
  /** Whether the constant is kept there where it is a weight. Addends are always in kernel memory. */
  isFarWeight(id: ConstantId): boolean
}

/** Bytes in kernel memory and in far memory. */
export interface PlacedBytes {
  readonly near: number
  readonly far: number
}

/** Keeps everything in kernel memory. */
export const NOTHING_FAR: FarStorage = { isFarKey: () => false, isFarWeight: () => false }

type Body = Pick<Circuit, 'parameters' | 'constants' | 'ops'>

/** How often the keys and weights of a circuit are read in an inference. */
export class Reads {
  /** By key, the number of steps that read it. */
  readonly keys: ReadonlyMap<KeyName, number>
  /** By constant, the number of sums that read it as a weight. */
  readonly weights: Uint32Array

  constructor(circuit: Body) {
    this.keys = keyReads(circuit)
    this.weights = weightReads(circuit)
  }

  /** Keeps in far memory what is read at most `most` times: it is copied most rarely. */
  farUpTo(most: number): FarStorage {
    return {
      isFarKey: (name) => (this.keys.get(name) ?? Infinity) <= most,
      isFarWeight: (id) => this.weights[id] > 0 && this.weights[id] <= most,
    }
  }
}

function keyReads({ ops, parameters }: Body): Map<KeyName, number> {
  const reads = new Map<KeyName, number>()
  for (const { kind, ops: ids } of stepsOf({ ops }, maxDigitSources(parameters))) {
    if (kind !== 'rotate' && kind !== 'relinearise' && kind !== 'raise') continue
    for (const name of new Set(ids.map((id) => keyOf(ops[id], parameters.ring)))) {
      reads.set(name, (reads.get(name) ?? 0) + 1)
    }
  }
  return reads
}

/** The key that an operation reads. @param op a rotation, conjugation, relinearisation or raise */
function keyOf(op: Op, ring: number): KeyName {
  if (op.kind === 'rotate') return galoisElement(ring, op.steps)
  if (op.kind === 'conjugate') return conjugationElement(ring)
  return op.kind === 'raise' ? 'up' : 'relin'
}

function weightReads({ ops, constants }: Body): Uint32Array {
  const reads = new Uint32Array(constants.length)
  for (const op of ops) {
    if (op.kind === 'dot') for (const { constant } of op.terms) reads[constant]++
  }
  return reads
}
