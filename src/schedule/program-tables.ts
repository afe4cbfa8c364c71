import { numbersOf, periodOf } from '../circuit/constants/constant.ts'
import type { Circuit, Term } from '../circuit/types.ts'
import { encodedWords } from './constant-storage.ts'
import { Work } from './work.ts'

const WORD_BYTES = 4
const POLYNOMIALS = 2

type Body = Pick<Circuit, 'parameters' | 'constants' | 'ops' | 'result'>

/**
 * Bytes of kernel memory that a program's weighted sums take to say where their summands and weights are: a
 * table for each polynomial, and one more for limbs modulo special primes where not all summands have them.
 */
export function tableBytes(circuit: Body): number {
  const { constants, ops, result, parameters } = circuit
  const work = new Work({ ops, result, specialPrimes: parameters.specialPrimes.length })
  const words = numbersOf(constants, (constant) => {
    const isWhole = encodedWords(periodOf(constant), parameters.ring) === parameters.ring
    // Addresses of value and weight, and log2 of the block that a residue stands for where there are blocks.
    return isWhole ? 2 : 3
  })
  const wordsOf = (terms: readonly Term[]): number =>
    terms.reduce((sum, { constant }) => sum + words[constant], 0)
  return ops.reduce((bytes, op, id) => {
    if (op.kind !== 'dot') return bytes
    const extended = op.terms.filter(({ value }) => work.weightForm(id, value) === 'extended')
    const special = extended.length === op.terms.length ? 0 : wordsOf(extended)
    return bytes + (wordsOf(op.terms) + special) * POLYNOMIALS * WORD_BYTES
  }, 0)
}
