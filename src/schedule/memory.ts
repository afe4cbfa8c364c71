import { periodOf } from '../circuit/constants/constant.ts'
import { galoisKeyCount, keyLevels } from '../circuit/keys.ts'
import { operandsOf } from '../circuit/operands.ts'
import { polynomialCounts } from '../circuit/polynomials.ts'
import type { Circuit, Op, OpKind, ValueId } from '../circuit/types.ts'
import {
  type ExpansionRule,
  encodedWords,
  expansionParts,
  expansionRule,
  keptShare,
  passingBytes,
} from './constant-storage.ts'
import { eachEncoding, placedConstantBytes } from './encoded-constants.ts'
import { type FarStorage, NOTHING_FAR, type PlacedBytes, Reads } from './far-storage.ts'
import { keySizes, placedKeyMemory } from './key-memory.ts'
import { MOST_PLANNED_BYTES, POLYNOMIAL_GAP_BYTES, RESIDUE_BYTES } from './limits.ts'
import { tableBytes } from './program-tables.ts'
import { maxDigitSources, type Step, stepsOf } from './steps.ts'
import { Work } from './work.ts'

/** Roots of unity, their inverses, and the quotients of both: words for each residue of a prime. */
const TABLE_WORDS = 4

type Body = Pick<Circuit, 'parameters' | 'constants' | 'ops' | 'result' | 'refresh'>

type OpOf<K extends OpKind> = Extract<Op, { kind: K }>

/** The memory that the simd engine needs for a circuit, and what of it is far memory. */
export interface EngineMemory extends PlacedBytes {
  readonly storage: FarStorage
}

/** Bytes of all memory that the simd engine needs for a circuit. */
export function simdMemory(circuit: Body): number {
  const { near, far } = engineMemory(circuit)
  return near + far
}

/**
 * The memory that the simd engine needs for a circuit. Everything is in kernel memory where that suffices.
 * Otherwise keys and weights are kept in far memory: those that are read most rarely, and no more than
 * needed. `near` is above `mostNear` where no choice is enough.
 *
 * @param mostNear most bytes of kernel memory; by default what circuits are planned for
 */
export function engineMemory(circuit: Body, mostNear = MOST_PLANNED_BYTES): EngineMemory {
  const isExpanded = expansionRule(circuit)
  const whole = memoryWith(circuit, isExpanded, NOTHING_FAR)
  if (whole.near <= mostNear) return whole
  const reads = new Reads(circuit)
  const least = memoryWith(circuit, isExpanded, reads.farUpTo(Infinity))
  if (least.near > mostNear) return least
  // Copies take the most memory where all that can be far is far.
  const copies = least.near + least.far - whole.near
  const most = mostReads(movable(circuit, isExpanded, reads), whole.near + copies - mostNear)
  return memoryWith(circuit, isExpanded, reads.farUpTo(most))
}

/** Bytes of keys and weights by the number of times that they are read. */
function movable(circuit: Body, isExpanded: ExpansionRule, reads: Reads): Map<number, number> {
  const bytes = new Map<number, number>()
  const add = (number: number, own: number): void => {
    bytes.set(number, (bytes.get(number) ?? 0) + own)
  }
  for (const [name, own] of keySizes(circuit.parameters, keyLevels(circuit.parameters, circuit))) {
    if (name !== 'down') add(reads.keys.get(name)!, own)
  }
  eachEncoding(circuit, isExpanded, (constant, own, use) => {
    if (use === 'weight') add(reads.weights[constant], own)
  })
  return bytes
}

/** The least number of reads up to which so many bytes are read. */
function mostReads(bytesByReads: ReadonlyMap<number, number>, needed: number): number {
  let moved = 0
  for (const [reads, bytes] of [...bytesByReads].sort(([a], [b]) => a - b)) {
    moved += bytes
    if (moved >= needed) return reads
  }
  return Infinity
}

/**
 * Kernel memory has keys, tables of primes and automorphisms, encoded constants, the program's tables, and
 * the peak of values and temporaries. The engine takes a little more, for gaps between temporaries and where
 * freed ranges do not fit the next request; a test holds the two together.
 */
function memoryWith(circuit: Body, isExpanded: ExpansionRule, storage: FarStorage): EngineMemory {
  const keys = placedKeyMemory(circuit.parameters, keyLevels(circuit.parameters, circuit), storage)
  const constants = placedConstantBytes(circuit, isExpanded, storage)
  const replay = new Replay(circuit, isExpanded, storage)
  return {
    storage,
    near: keys.near + tablesOfParameters(circuit) + constants.near + tableBytes(circuit) + replay.peak(),
    far: keys.far + constants.far,
  }
}

const limbBytes = ({ parameters }: Body): number => parameters.ring * RESIDUE_BYTES

function tablesOfParameters(circuit: Body): number {
  const { ring, primes, specialPrimes } = circuit.parameters
  const all = primes.length + specialPrimes.length
  // An automorphism's table has one word for each group of four residues, and so has the table of its
  // inverse, which permutes its key.
  return all * TABLE_WORDS * limbBytes(circuit) + 2 * galoisKeyCount(circuit) * ring
}

/** One polynomial in memory, which several values may hold. */
interface Polynomial {
  readonly bytes: number
  holders: number
}

/**
 * Goes through the steps as the engine does, and counts the memory that is alive: values, digits, temporaries
 * of divisions.
 */
class Replay {
  readonly #circuit: Body
  readonly #isExpanded: ExpansionRule
  readonly #storage: FarStorage
  readonly #work: Work
  readonly #polynomials: Uint8Array
  readonly #limb: number
  /** Limbs of one mask. */
  readonly #maskLimbs: number
  readonly #values = new Map<ValueId, readonly Polynomial[]>()
  /** Number of each value's readers that have not run. */
  readonly #left: Int32Array
  #live = 0
  #peak = 0

  constructor(circuit: Body, isExpanded: ExpansionRule, storage: FarStorage) {
    this.#circuit = circuit
    this.#isExpanded = isExpanded
    this.#storage = storage
    const { ops, result, parameters } = circuit
    this.#work = new Work({ ops, result, specialPrimes: parameters.specialPrimes.length })
    this.#polynomials = polynomialCounts(ops)
    this.#limb = limbBytes(circuit)
    this.#maskLimbs = circuit.refresh ? circuit.refresh.level + 1 : 0
    this.#left = this.#work.readerCounts(result)
  }

  peak(): number {
    const { ops, parameters } = this.#circuit
    // All inputs have memory from the beginning.
    ops.forEach((op, id) => {
      if (op.kind === 'input') this.#create(id, 2)
    })
    for (const step of stepsOf(this.#circuit, maxDigitSources(parameters))) {
      this.#run(step)
      if (step.kind === 'return') continue
      for (const id of step.ops) this.#releaseOperands(id)
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
        for (const id of ops) this.#create(id, this.#polynomials[id])
        return
      case 'refresh':
        // Refreshed values get their memory when they are sent, and their masks take memory until they are
        // back.
        for (const id of ops) this.#create(id, 2)
        this.#take(this.#maskBytes(ops))
        return
      case 'return':
        this.#live -= this.#maskBytes(ops)
        return
      case 'rescale':
        this.#rescale(ops)
        return
      case 'relinearise':
        // Relinearisations of one level have their digits in memory together.
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
        this.#compute(ops, this.#passing(ops))
        return
      case 'raise':
        this.#raise(ops)
        return
      case 'timesI':
      case 'add':
      case 'subtract':
        this.#compute(ops, 0)
        return
      default:
        kind satisfies never
    }
  }

  /** Memory of the weights that are copied or expanded together, at most, in limbs. */
  #passing(ids: readonly ValueId[]): number {
    const bytesOf = (id: ValueId): number => this.#passingBytes(this.#op(id) as OpOf<'dot'>)
    const parts = expansionParts(ids, bytesOf)
    return Math.max(...parts.map((part) => part.reduce((sum, id) => sum + bytesOf(id), 0))) / this.#limb
  }

  #passingBytes({ terms, constantScale }: OpOf<'dot'>): number {
    const { constants, parameters } = this.#circuit
    return terms.reduce((sum, { value, constant: id }) => {
      const isExpanded = this.#isExpanded(id, constantScale, 'weight')
      const isFar = this.#storage.isFarWeight(id)
      if (!isExpanded && !isFar) return sum
      const constant = constants.at(id)!
      const { copied, expanded } = passingBytes({
        isExpanded,
        isFar,
        words: encodedWords(periodOf(constant), parameters.ring),
        share: keptShare(constant),
        limbs: this.#work.limbs(value),
      })
      return sum + copied + expanded
    }, 0)
  }

  #op(id: ValueId): Op {
    return this.#circuit.ops[id]
  }

  /**
   * Limbs of the digits of one source, and of the polynomial that they are extended from, at an operation's
   * level.
   */
  #digits(id: ValueId): number {
    const primes = this.#work.primes(id)
    const { digits, limbs } = this.#work.decomposition(primes)
    return digits * limbs + primes + digits
  }

  /**
   * Operations that may compute in the extended basis. @param limbs of their temporaries, results not counted
   */
  #compute(ids: readonly ValueId[], limbs: number): void {
    let undivided = 0
    for (const id of ids) {
      this.#create(id, this.#polynomials[id])
      if (this.#work.hasModDown(id)) undivided += 2 * this.#work.computedLimbs(id)
    }
    this.#briefly(undivided + limbs)
    this.#briefly(undivided + this.#divisionLimbs(ids))
  }

  /**
   * The values under the ephemeral secret, modulo all primes, are there while their digits are, those of the
   * switch to it and then those of the switch back.
   */
  #raise(ids: readonly ValueId[]): void {
    const limbs = ids.reduce((sum, id) => {
      const before = this.#work.primes(operandsOf(this.#op(id))[0])
      // Digits of one prime, the polynomials that they are extended from, and the result.
      const down = before * (before + 1) + 2 * before + 2 * (before + 1)
      return sum + 2 * this.#work.primes(id) + Math.max(down, this.#digits(id))
    }, 0)
    this.#compute(ids, limbs)
  }

  #rescale(ids: readonly ValueId[]): void {
    for (const id of ids) if (this.#work.division(id)) this.#create(id, 2)
    this.#briefly(this.#divisionLimbs(ids))
  }

  /** For both polynomials of each division one limb for each prime that is divided by, and one more. */
  #divisionLimbs(ids: readonly ValueId[]): number {
    return ids.reduce((sum, id) => {
      const division = this.#work.division(id)
      return division === undefined ? sum : sum + 2 * (division.dropped + 1)
    }, 0)
  }

  #create(id: ValueId, polynomials: number): void {
    const limbs = this.#work.limbs(id)
    this.#hold(
      id,
      Array.from({ length: polynomials }, () => this.#allocate(limbs)),
    )
  }

  /**
   * Makes a value that shares the last `count` polynomials of its operand; with one shared, the first is its
   * own.
   */
  #share(id: ValueId, count: number): void {
    const [source] = operandsOf(this.#op(id))
    const shared = this.#values.get(source)!.slice(-count)
    this.#hold(id, count === 2 ? shared : [this.#allocate(this.#op(id).level + 1), ...shared])
  }

  #allocate(limbs: number): Polynomial {
    const polynomial = { bytes: limbs * this.#limb + POLYNOMIAL_GAP_BYTES, holders: 0 }
    this.#take(polynomial.bytes)
    return polynomial
  }

  #take(bytes: number): void {
    this.#live += bytes
    this.#peak = Math.max(this.#peak, this.#live)
  }

  #maskBytes(ids: readonly ValueId[]): number {
    return ids.length * this.#maskLimbs * this.#limb
  }

  #hold(id: ValueId, polynomials: readonly Polynomial[]): void {
    this.#values.set(id, polynomials)
    for (const polynomial of polynomials) polynomial.holders++
  }

  /** Counts temporaries that are freed before the next allocation. */
  #briefly(limbs: number): void {
    this.#peak = Math.max(this.#peak, this.#live + limbs * this.#limb)
  }

  #releaseOperands(id: ValueId): void {
    for (const operand of this.#work.operandsRead(id)) {
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
