import fc from 'fast-check'
import { type CiphertextType, log2Modulus, typeLaws } from '../../src/circuit/laws.ts'
import { operandsOf } from '../../src/circuit/operands.ts'
import type { CkksParameters } from '../../src/circuit/parameters/parameters.ts'
import type { Circuit, Constant, EveryOpKind, Op, OpKind, ValueId } from '../../src/circuit/types.ts'
import { PolyVeilError } from '../../src/errors/index.ts'
import { smallCircuit } from '../circuit/circuits.ts'

/**
 * A choice of operation: its kind, its operands (numbers that are reduced modulo the operands there are), its
 * rotation steps.
 */
interface Choice {
  readonly kind: ChosenKind
  readonly first: number
  readonly second: number
}

/**
 * Kinds of operations that are chosen. Circuits have two inputs, and no refreshes. Each product is
 * relinearised, some after a sum.
 */
type ChosenKind = Exclude<OpKind, 'input' | 'relinearise' | 'refresh' | 'raise'>

const KINDS = [
  'rotate',
  'conjugate',
  'timesI',
  'dot',
  'addPlain',
  'add',
  'subtract',
  'multiply',
  'rescale',
  'dropLevel',
] as const
KINDS satisfies EveryOpKind<[...typeof KINDS, 'input', 'relinearise', 'refresh', 'raise']>

/**
 * Verified circuits of about a dozen operations on two inputs at the highest level. Choices that break a law
 * are skipped, and operations that the last value does not need are left out.
 */
export function randomCircuit(
  parameters: CkksParameters,
  steps: readonly number[],
  scale: number,
): fc.Arbitrary<Circuit> {
  const choice = fc.record({ kind: fc.constantFrom(...KINDS), first: fc.nat(1000), second: fc.nat(1000) })
  const period = fc.constantFrom(1, 2, 8, 64, 1024, parameters.slots)
  const numbers = (length: number, seed: number): Float64Array =>
    Float64Array.from({ length }, (_, i) => Math.sin((i + 1) * (seed + 1)) / 2 + 0.4)
  const constant = fc.tuple(period, fc.nat(100), fc.boolean()).map(([length, seed, isComplex]): Constant => {
    const real = numbers(length, seed)
    return isComplex ? { real, imaginary: numbers(length, seed + 0.5).map((value) => value / 2) } : real
  })
  return fc
    .tuple(
      fc.array(choice, { minLength: 4, maxLength: 14 }),
      fc.array(constant, { minLength: 2, maxLength: 4 }),
    )
    .map(([choices, constants]) => build(new Builder(parameters, steps, scale, constants), choices))
}

function build(builder: Builder, choices: readonly Choice[]): Circuit {
  for (const choice of choices) builder.tryChoice(choice)
  return builder.finish()
}

class Builder {
  readonly #laws: ReturnType<typeof typeLaws>
  readonly #parameters: CkksParameters
  readonly #steps: readonly number[]
  readonly #constants: readonly Constant[]
  readonly #ops: Op[] = []
  readonly #types: CiphertextType[] = []

  constructor(
    parameters: CkksParameters,
    steps: readonly number[],
    scale: number,
    constants: readonly Constant[],
  ) {
    this.#parameters = parameters
    this.#laws = typeLaws(parameters)
    this.#steps = steps
    this.#constants = constants
    const input = this.#laws.input(parameters.topLevel, scale)
    this.#push({ kind: 'input', index: 0 }, input)
    this.#push({ kind: 'input', index: 1 }, input)
    this.#push({ kind: 'subtract', left: 0, right: 1 }, this.#laws.add(input, input))
  }

  tryChoice(choice: Choice): void {
    try {
      this.#apply(choice)
    } catch (error) {
      if (!(error instanceof PolyVeilError)) throw error
    }
  }

  /** The circuit that computes the last relinearised value, without operations that it does not need. */
  finish(): Circuit {
    const base = smallCircuit()
    const last = this.#types.findLastIndex(({ polynomials }) => polynomials === 2)
    const { ops, result } = pruned(this.#ops, last)
    const { level, scale } = ops[result]
    return {
      ...base,
      parameters: this.#parameters,
      constants: this.#constants,
      ops,
      result,
      input: { ...base.input, level: ops[0].level, scale: ops[0].scale },
      output: { ...base.output, level, scale, flooding: 0 },
    }
  }

  #apply({ kind, first, second }: Choice): void {
    const left = FIRST_OPERAND + (first % (this.#ops.length - FIRST_OPERAND))
    const right = FIRST_OPERAND + (second % (this.#ops.length - FIRST_OPERAND))
    const laws = this.#laws
    const a = this.#type(left)
    const b = this.#type(right)
    const constant = second % this.#constants.length
    switch (kind) {
      case 'rotate': {
        const steps = this.#steps[second % this.#steps.length]
        this.#push({ kind, source: left, steps }, laws.rotate(a, steps))
        break
      }
      case 'conjugate':
        this.#push({ kind, source: left }, laws.conjugate(a))
        break
      case 'timesI':
        this.#push({ kind, source: left }, laws.timesI(a))
        break
      case 'dot': {
        this.#requireRoom(a.level, a.scale * 2 ** 20)
        const alike = a.scale === b.scale && a.level === b.level && b.polynomials === 2
        const terms = alike ? [left, right] : [left]
        const type = laws.dot(
          terms.map(() => a),
          2 ** 20,
        )
        this.#push({ kind, terms: terms.map((value) => ({ value, constant })), constantScale: 2 ** 20 }, type)
        break
      }
      case 'addPlain':
        this.#push({ kind, source: left, constant }, laws.addPlain(a))
        break
      case 'add':
        this.#push({ kind, left, right }, laws.add(a, b))
        break
      case 'subtract':
        if (left !== right) this.#push({ kind, left, right }, laws.add(a, b))
        break
      case 'multiply': {
        this.#requireRoom(a.level, a.scale * b.scale)
        const type = laws.multiply(a, b)
        const product = this.#push({ kind, left, right }, type)
        // Some products are added to another one first.
        const isSum = constant % 2 === 1
        const source = isSum ? this.#push({ kind: 'add', left: product, right: product }, type) : product
        this.#push({ kind: 'relinearise', source }, laws.relinearise(type))
        break
      }
      case 'rescale': {
        const type = laws.rescale(a)
        if (type.scale < 2 ** 24) return
        this.#requireRoom(type.level, type.scale)
        this.#push({ kind, source: left }, type)
        break
      }
      case 'dropLevel': {
        const level = a.level - 1
        this.#requireRoom(level, a.scale)
        this.#push({ kind, source: left }, laws.dropLevel(a, level))
        break
      }
      default:
        kind satisfies never
    }
  }

  /** Leaves bits above the scale, so that no value wraps. */
  #requireRoom(level: number, scale: number): void {
    if (level < 0 || Math.log2(scale) + ROOM_BITS > log2Modulus(this.#parameters, level)) {
      throw new PolyVeilError('LEVEL_EXHAUSTED', 'kept small')
    }
  }

  #type(id: ValueId): CiphertextType {
    return this.#types[id]
  }

  #push(op: object, type: CiphertextType): ValueId {
    const { level, scale } = type
    this.#types.push(type)
    return this.#ops.push({ ...op, level, scale, layer: 0 } as Op) - 1
  }
}

/** Bits of the modulus above the scale that values may fill. */
const ROOM_BITS = 10

/** Operands begin here: at the inputs' difference, so that both inputs are used. */
const FIRST_OPERAND = 2

/** The operations that `result` needs, renumbered. */
function pruned(ops: readonly Op[], result: ValueId): { ops: Op[]; result: ValueId } {
  const needed = new Set([result])
  for (let id = result; id >= 0; id--) {
    if (needed.has(id)) for (const operand of operandsOf(ops[id])) needed.add(operand)
  }
  const kept = [...needed].sort((a, b) => a - b)
  const renumbered = new Map(kept.map((id, index) => [id, index]))
  const number = (id: ValueId): ValueId => renumbered.get(id)!
  return { ops: kept.map((id) => withOperands(ops[id], number)), result: number(result) }
}

function withOperands(op: Op, number: (id: ValueId) => ValueId): Op {
  switch (op.kind) {
    case 'input':
      return op
    case 'dot':
      return { ...op, terms: op.terms.map((term) => ({ ...term, value: number(term.value) })) }
    case 'add':
    case 'subtract':
    case 'multiply':
      return { ...op, left: number(op.left), right: number(op.right) }
    case 'rotate':
    case 'conjugate':
    case 'timesI':
    case 'addPlain':
    case 'relinearise':
    case 'raise':
    case 'rescale':
    case 'dropLevel':
    case 'refresh':
      return { ...op, source: number(op.source) }
  }
}
