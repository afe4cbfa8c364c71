import { numbersOf, periodOf } from '../circuit/constants/constant.ts'
import type { Circuit, ConstantId, Op } from '../circuit/types.ts'
import {
  type ConstantUse,
  type ExpansionRule,
  encodedWords,
  inFarUnits,
  keptShare,
} from './constant-storage.ts'
import { type FarStorage, NOTHING_FAR, type PlacedBytes } from './far-storage.ts'
import { RESIDUE_BYTES } from './limits.ts'
import { type WeightForm, Work } from './work.ts'

type Body = Pick<Circuit, 'parameters' | 'constants' | 'ops' | 'result'>

/**
 * Bytes of all encoded constants. The simd engine keeps a constant once for each scale, level and form that
 * reads it.
 */
export function constantBytes(circuit: Body, isExpanded: ExpansionRule): number {
  const { near, far } = placedConstantBytes(circuit, isExpanded, NOTHING_FAR)
  return near + far
}

/** Bytes of all encoded constants where some weights are kept in far memory. */
export function placedConstantBytes(
  circuit: Body,
  isExpanded: ExpansionRule,
  { isFarWeight }: FarStorage,
): PlacedBytes {
  let near = 0
  let far = 0
  eachEncoding(circuit, isExpanded, (constant, bytes, use) => {
    if (use === 'weight' && isFarWeight(constant)) far += inFarUnits(bytes)
    else near += bytes
  })
  return { near, far }
}

/** Calls a function for each encoded constant once. */
export function eachEncoding(
  circuit: Body,
  isExpanded: ExpansionRule,
  body: (constant: ConstantId, bytes: number, use: ConstantUse) => void,
): void {
  const words = numbersOf(circuit.constants, (constant) =>
    encodedWords(periodOf(constant), circuit.parameters.ring),
  )
  const shares = numbersOf(circuit.constants, keptShare)
  const encodings = new Encodings()
  eachUse(circuit, (constant, use) =>
    encodings.note(
      constant,
      isExpanded(constant, use.scale, useOf(use))
        ? expandedEncoding(use, shares[constant])
        : residueEncoding(use, circuit),
    ),
  )
  encodings.eachOnce((constant, { limbs, use }) => {
    body(constant, words[constant] * limbs * RESIDUE_BYTES, use)
  })
}

type Form = WeightForm | 'addend'

interface Use {
  readonly op: Op
  readonly scale: number
  readonly form: Form
}

function eachUse(circuit: Body, body: (constant: ConstantId, use: Use) => void): void {
  const { ops, result, parameters } = circuit
  const work = new Work({ ops, result, specialPrimes: parameters.specialPrimes.length })
  ops.forEach((op, id) => {
    if (op.kind === 'addPlain') body(op.constant, { op, scale: op.scale, form: 'addend' })
    if (op.kind !== 'dot') return
    for (const { value, constant } of op.terms) {
      body(constant, { op, scale: op.constantScale, form: work.weightForm(id, value) })
    }
  })
}

/** A way to encode a constant. */
interface Encoding {
  readonly scale: number
  /** Number of the form and level. */
  readonly code: number
  /** Copies of the constant's words. */
  readonly limbs: number
  readonly use: ConstantUse
}

const useOf = ({ form }: Use): ConstantUse => (form === 'addend' ? 'addend' : 'weight')

/** Words of a coefficient: those of addends are doubles. */
const COEFFICIENT_WORDS = { weight: 1, addend: 2 }
/**
 * Codes of constants that are kept as coefficients, which no level changes: half of the coefficients, or all
 * of them.
 */
const HALF_CODES = { weight: 0, addend: 1 }
const WHOLE_CODES = { weight: 2, addend: 3 }
const FIRST_RESIDUE_CODE = 4
const FORMS: readonly Form[] = ['addend', 'extended', 'timesP', 'normal']

/** @param share of the coefficients that are kept */
function expandedEncoding(use: Use, share: number): Encoding {
  const codes = share === 1 ? WHOLE_CODES : HALF_CODES
  const kind = useOf(use)
  return { scale: use.scale, code: codes[kind], limbs: share * COEFFICIENT_WORDS[kind], use: kind }
}

function residueEncoding(use: Use, { parameters }: Body): Encoding {
  const { op, scale, form } = use
  const special = form === 'extended' ? parameters.specialPrimes.length : 0
  return {
    scale,
    code: FIRST_RESIDUE_CODE + FORMS.indexOf(form) + FORMS.length * op.level,
    limbs: op.level + 1 + special,
    use: useOf(use),
  }
}

/**
 * The encodings of each constant. Pairs of a constant and an encoding are numbers, because circuits have
 * millions.
 */
class Encodings {
  /** By scale, then by code. */
  readonly #numbers = new Map<number, number[]>()
  readonly #encodings: Encoding[] = []
  #pairs = new Float64Array(1024)
  #count = 0

  note(constant: ConstantId, encoding: Encoding): void {
    if (this.#count === this.#pairs.length) this.#grow()
    this.#pairs[this.#count++] = this.#numberOf(encoding) * 2 ** 32 + constant
  }

  #numberOf(encoding: Encoding): number {
    const { scale, code } = encoding
    let numbers = this.#numbers.get(scale)
    if (numbers === undefined) {
      numbers = []
      this.#numbers.set(scale, numbers)
    }
    numbers[code] ??= this.#encodings.push(encoding) - 1
    return numbers[code]
  }

  /** Calls a function for each pair once. */
  eachOnce(body: (constant: ConstantId, encoding: Encoding) => void): void {
    const pairs = this.#pairs.subarray(0, this.#count).sort()
    pairs.forEach((pair, i) => {
      if (i > 0 && pairs[i - 1] === pair) return
      const number = Math.floor(pair / 2 ** 32)
      body(pair - number * 2 ** 32, this.#encodings[number])
    })
  }

  #grow(): void {
    const pairs = new Float64Array(2 * this.#pairs.length)
    pairs.set(this.#pairs)
    this.#pairs = pairs
  }
}
