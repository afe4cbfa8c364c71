import { numbersOf, periodOf } from '../circuit/constants/constant.ts'
import { operandsOf } from '../circuit/operands.ts'
import type { Circuit, Op, OpKind, Term, ValueId } from '../circuit/types.ts'
import { encodedWords } from './constant-storage.ts'
import { Work } from './work.ts'

const WORD_BYTES = 4
const POLYNOMIALS = 2

type Body = Pick<Circuit, 'parameters' | 'constants' | 'ops' | 'result'>

/**
 * Words of a summand whose weight stands for a block of residues: addresses, and log2 of the block's length.
 */
const BLOCK_WORDS = 3
/** Words of a summand whose weights are all kept: addresses of value and weights. */
const VECTOR_WORDS = 2

/**
 * Bytes of the tables that hold the addresses of a program's sums. A weighted sum has one table for each
 * polynomial, and a second one for limbs modulo the special primes where some summands have none. Sums of the
 * same ciphertexts share tables and take less, which is not counted. Key switching and base conversions have
 * a table for each limb.
 */
export function tableBytes(circuit: Body): number {
  const { ops, result, parameters } = circuit
  const work = new Work({ ops, result, specialPrimes: parameters.specialPrimes.length })
  const sums = new SumWords(circuit, work)
  const decomposed = new Set<ValueId>()
  let words = 0
  ops.forEach((op, id) => {
    if (op.kind === 'dot') words += sums.of(op, id)
    words += switchWords(op, id, work) + divisionWords(id, work)
    if (!(op.kind in ADDED)) return
    // A value is decomposed once for all its rotations.
    const [source] = operandsOf(op)
    if (decomposed.has(source)) return
    decomposed.add(source)
    words += decompositionWords(work.primes(id), work)
  })
  return words * WORD_BYTES
}

/** Words of the tables of weighted sums. */
class SumWords {
  readonly #work: Work
  /** Words of a summand with each constant. */
  readonly #words: ArrayLike<number>

  constructor({ constants, parameters: { ring } }: Body, work: Work) {
    this.#work = work
    this.#words = numbersOf(constants, (constant) =>
      encodedWords(periodOf(constant), ring) === ring ? VECTOR_WORDS : BLOCK_WORDS,
    )
  }

  of({ terms }: Extract<Op, { kind: 'dot' }>, id: ValueId): number {
    const extended = terms.filter(({ value }) => this.#work.weightForm(id, value) === 'extended')
    const special = extended.length === terms.length ? 0 : this.#sum(extended)
    return (this.#sum(terms) + special) * POLYNOMIALS
  }

  #sum(terms: readonly Term[]): number {
    return terms.reduce((sum, { constant }) => sum + this.#words[constant], 0)
  }
}

/** Polynomials to which the result of a key switch is added, times P. */
const ADDED: Partial<Readonly<Record<OpKind, number>>> = { rotate: 1, conjugate: 1, relinearise: 2, raise: 1 }

/** Words of the tables of a key switch; 0 for other operations. */
function switchWords({ kind }: Op, id: ValueId, work: Work): number {
  const added = ADDED[kind]
  if (added === undefined) return 0
  const primes = work.primes(id)
  const { digits, limbs } = work.decomposition(primes)
  return POLYNOMIALS * limbs * digits * VECTOR_WORDS + added * primes * BLOCK_WORDS
}

/** Words of the tables with which digits are extended to all other primes. */
function decompositionWords(primes: number, work: Work): number {
  const { digits, limbs } = work.decomposition(primes)
  const most = limbs - primes
  let words = 0
  for (let digit = 0; digit < digits; digit++) {
    const own = Math.min(most, primes - digit * most)
    words += (limbs - own) * conversionWords(own)
  }
  return words
}

function divisionWords(id: ValueId, work: Work): number {
  const division = work.division(id)
  return division === undefined ? 0 : POLYNOMIALS * division.left * conversionWords(division.dropped)
}

/** Words of the table of one target of a base conversion: its sources and the quotients are summands. */
const conversionWords = (sources: number): number => (sources + 1) * BLOCK_WORDS
