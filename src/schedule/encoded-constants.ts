import { numbersOf, periodOf } from '../circuit/constants/constant.ts'
import type { Circuit, ConstantId, Op } from '../circuit/types.ts'
import { type ConstantUse, type ExpansionRule, encodedWords, keptShare } from './constant-storage.ts'
import { RESIDUE_BYTES } from './limits.ts'
import { type WeightForm, Work } from './work.ts'

type Body = Pick<Circuit, 'parameters' | 'constants' | 'ops' | 'result'>

/**
 * Bytes of all encoded constants. The simd engine keeps a constant once for each scale, level and form that
 * reads it.
 */
export function constantBytes(circuit: Body, isExpanded: ExpansionRule): number {
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
  let bytes = 0
  encodings.eachOnce((constant, limbs) => {
    bytes += words[constant] * limbs * RESIDUE_BYTES
  })
  return bytes
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
  return { scale: use.scale, code: codes[kind], limbs: share * COEFFICIENT_WORDS[kind] }
}

function residueEncoding({ op, scale, form }: Use, { parameters }: Body): Encoding {
  const special = form === 'extended' ? parameters.specialPrimes.length : 0
  return {
    scale,
    code: FIRST_RESIDUE_CODE + FORMS.indexOf(form) + FORMS.length * op.level,
    limbs: op.level + 1 + special,
  }
}

/**
 * The encodings of each constant. Pairs of a constant and an encoding are numbers, because circuits have
 * millions.
 */
class Encodings {
  /** By scale, then by code. */
  readonly #numbers = new Map<number, number[]>()
  readonly #limbs: number[] = []
  #pairs = new Float64Array(1024)
  #count = 0

  note(constant: ConstantId, encoding: Encoding): void {
    if (this.#count === this.#pairs.length) this.#grow()
    this.#pairs[this.#count++] = this.#numberOf(encoding) * 2 ** 32 + constant
  }

  #numberOf({ scale, code, limbs }: Encoding): number {
    let numbers = this.#numbers.get(scale)
    if (numbers === undefined) {
      numbers = []
      this.#numbers.set(scale, numbers)
    }
    numbers[code] ??= this.#limbs.push(limbs) - 1
    return numbers[code]
  }

  /** Calls a function for each pair once. */
  eachOnce(body: (constant: ConstantId, limbs: number) => void): void {
    const pairs = this.#pairs.subarray(0, this.#count).sort()
    pairs.forEach((pair, i) => {
      if (i > 0 && pairs[i - 1] === pair) return
      const number = Math.floor(pair / 2 ** 32)
      body(pair - number * 2 ** 32, this.#limbs[number])
    })
  }

  #grow(): void {
    const pairs = new Float64Array(2 * this.#pairs.length)
    pairs.set(this.#pairs)
    this.#pairs = pairs
  }
}
