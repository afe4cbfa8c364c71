import { periodOf } from '../circuit/constants/constant.ts'
import { rotationSteps } from '../circuit/keys.ts'
import { operandsOf } from '../circuit/operands.ts'
import { digitCount } from '../circuit/parameters/parameters.ts'
import type { Circuit, Op, ValueId } from '../circuit/types.ts'
import { type ExpansionRule, encodedWords, expansionParts, expansionRule } from './constant-storage.ts'
import { constantBytes } from './encoded-constants.ts'
import { type ExtendedBasis, extendedBasis, rescaleSource } from './extended-basis.ts'
import { tableBytes } from './program-tables.ts'
import { maxRotationSources, type Step, stepsOf } from './steps.ts'

const RESIDUE_BYTES = 4
/** Roots of unity, their inverses, and the quotients of both: words for each residue of a prime. */
const TABLE_WORDS = 4

type Body = Pick<Circuit, 'parameters' | 'constants' | 'ops' | 'result' | 'refresh'>

/**
 * Bytes of kernel memory that the simd engine needs for a circuit: keys, tables of primes and automorphisms,
 * encoded constants, the program's tables, and the most that is alive at once. What the engine comes to is a
 * little more where freed memory does not fit what comes next; a test holds the two together.
 */
export function simdMemory(circuit: Body): number {
  const isExpanded = expansionRule(circuit)
  return (
    keyAndTableBytes(circuit) +
    constantBytes(circuit, isExpanded) +
    tableBytes(circuit) +
    new Replay(circuit, isExpanded).peak()
  )
}

const limbBytes = ({ parameters }: Body): number => parameters.ring * RESIDUE_BYTES

function keyAndTableBytes(circuit: Body): number {
  const { ring, primes, specialPrimes } = circuit.parameters
  const rotations = rotationSteps(circuit).length
  const limb = limbBytes(circuit)
  const all = primes.length + specialPrimes.length
  const keys = (1 + rotations) * 2 * digitCount(circuit.parameters) * all * limb
  // An automorphism's table has one word for each group of four residues; its inverse, for its key, has one
  // too.
  return keys + all * TABLE_WORDS * limb + 2 * rotations * ring
}

/** Memory that one value or several hold. */
interface Polynomial {
  readonly bytes: number
  holders: number
}

/**
 * Goes through the stepsOf as the engine does, and counts what is alive: values, digits, what divisions work
 * with.
 */
class Replay {
  readonly #circuit: Body
  readonly #isExpanded: ExpansionRule
  readonly #basis: ExtendedBasis
  readonly #special: number
  readonly #limb: number
  /** Limbs of one mask. */
  readonly #maskLimbs: number
  readonly #values = new Map<ValueId, readonly Polynomial[]>()
  /** Readers of each value that have not run. */
  readonly #left: Int32Array
  #live = 0
  #peak = 0

  constructor(circuit: Body, isExpanded: ExpansionRule) {
    this.#circuit = circuit
    this.#isExpanded = isExpanded
    this.#basis = extendedBasis(circuit)
    this.#special = circuit.parameters.specialPrimes.length
    this.#limb = limbBytes(circuit)
    this.#maskLimbs = circuit.refresh ? circuit.refresh.level + 1 : 0
    this.#left = Int32Array.from(this.#basis.readers, (readers) => readers.length)
    this.#left[circuit.result]++
  }

  peak(): number {
    const { ops, parameters } = this.#circuit
    // Inputs are all there from the beginning.
    ops.forEach((op, id) => {
      if (op.kind === 'input') this.#create(id, 2)
    })
    for (const batch of stepsOf(this.#circuit, maxRotationSources(parameters))) {
      this.#run(batch)
      if (batch.kind === 'return') continue
      for (const id of batch.ops) this.#releaseOperands(id)
    }
    return this.#peak
  }

  #run({ kind, ops }: Step): void {
    switch (kind) {
      case 'input':
        return
      case 'dropLevel':
        for (const id of ops) this.#share(id, 2)
        return
      case 'addPlain':
        for (const id of ops) this.#share(id, 1)
        return
      case 'multiply':
        for (const id of ops) this.#create(id, 3)
        return
      case 'refresh':
        // Where values will be again has memory while they are under way, and so have their masks.
        for (const id of ops) this.#create(id, 2)
        this.#allocate(ops.length * this.#maskLimbs)
        return
      case 'return':
        this.#live -= ops.length * this.#maskLimbs * this.#limb
        return
      case 'rescale':
        this.#rescale(ops)
        return
      case 'relinearise':
        // The digits of one level are there together.
        for (const ids of Map.groupBy(ops, (id) => this.#op(id).level).values()) {
          this.#compute(ids, ids.length * this.#digits(ids[0]))
        }
        return
      case 'rotate': {
        const sources = new Set(ops.map((id) => operandsOf(this.#op(id))[0]))
        this.#compute(ops, sources.size * this.#digits(ops[0]))
        return
      }
      case 'dot':
        this.#compute(ops, this.#expanded(ops))
        return
      default:
        this.#compute(ops, 0)
    }
  }

  /** Most limbs' worth of weights that are expanded at once. */
  #expanded(ids: readonly ValueId[]): number {
    const { constants, parameters } = this.#circuit
    const bytesOf = (id: ValueId): number => {
      const op = this.#op(id) as Extract<Op, { kind: 'dot' }>
      return op.terms.reduce((sum, { value, constant }) => {
        if (!this.#isExpanded(constant, op.constantScale, 'weight')) return sum
        const words = encodedWords(periodOf(constants.at(constant)!), parameters.ring)
        const limbs = op.level + 1 + (this.#basis.staysInQP[value] ? this.#special : 0)
        return sum + words * limbs * RESIDUE_BYTES
      }, 0)
    }
    const parts = expansionParts(ids, bytesOf)
    return Math.max(...parts.map((part) => part.reduce((sum, id) => sum + bytesOf(id), 0))) / this.#limb
  }

  #op(id: ValueId): Op {
    return this.#circuit.ops[id]
  }

  /** Limbs of the digits of one source, and of what they are extended from, at an operation's level. */
  #digits(id: ValueId): number {
    const primes = this.#op(id).level + 1
    const digits = Math.ceil(primes / this.#special)
    return digits * (primes + this.#special) + primes + digits
  }

  /** Operations that may compute in the extended basis. @param limbs that they work with, beside results */
  #compute(ids: readonly ValueId[], limbs: number): void {
    const { inQP, staysInQP } = this.#basis
    let undivided = 0
    let divisions = 0
    for (const id of ids) {
      this.#create(id, 2)
      if (inQP[id] === staysInQP[id]) continue
      undivided += 2 * (this.#op(id).level + 1 + this.#special)
      divisions += 2 * (this.#special + 1)
    }
    this.#briefly(undivided + limbs)
    this.#briefly(undivided + divisions)
  }

  #rescale(ids: readonly ValueId[]): void {
    const { staysInQP, fusedRescale } = this.#basis
    let limbs = 0
    for (const id of ids) {
      if (fusedRescale[id]) continue
      this.#create(id, 2)
      const source = rescaleSource(this.#circuit.ops, fusedRescale, id)
      const dropped = this.#op(source).level - this.#op(id).level + staysInQP[source] * this.#special
      limbs += 2 * (dropped + 1)
    }
    this.#briefly(limbs)
  }

  #create(id: ValueId, polynomials: number): void {
    const limbs = this.#op(id).level + 1 + (this.#basis.staysInQP[id] ? this.#special : 0)
    this.#hold(
      id,
      Array.from({ length: polynomials }, () => this.#allocate(limbs)),
    )
  }

  /**
   * A value with the last `count` polynomials of its operand, and a first one of its own if that is not all.
   */
  #share(id: ValueId, count: number): void {
    const [source] = operandsOf(this.#op(id))
    const shared = this.#values.get(source)!.slice(-count)
    this.#hold(id, count === 2 ? shared : [this.#allocate(this.#op(id).level + 1), ...shared])
  }

  #allocate(limbs: number): Polynomial {
    const polynomial = { bytes: limbs * this.#limb, holders: 0 }
    this.#live += polynomial.bytes
    this.#peak = Math.max(this.#peak, this.#live)
    return polynomial
  }

  #hold(id: ValueId, polynomials: readonly Polynomial[]): void {
    this.#values.set(id, polynomials)
    for (const polynomial of polynomials) polynomial.holders++
  }

  /** Memory that is freed before anything else is asked for. */
  #briefly(limbs: number): void {
    this.#peak = Math.max(this.#peak, this.#live + limbs * this.#limb)
  }

  #releaseOperands(id: ValueId): void {
    const { fusedRescale } = this.#basis
    if (fusedRescale[id]) return
    const op = this.#op(id)
    const read = op.kind === 'rescale' ? [rescaleSource(this.#circuit.ops, fusedRescale, id)] : operandsOf(op)
    for (const operand of new Set(read)) {
      this.#left[operand]--
      if (this.#left[operand] === 0) this.#release(operand)
    }
  }

  #release(id: ValueId): void {
    for (const polynomial of this.#values.get(id)!) {
      polynomial.holders--
      if (polynomial.holders === 0) this.#live -= polynomial.bytes
    }
    this.#values.delete(id)
  }
}
