import { numbersOf, periodOf } from '../circuit/constants/constant.ts'
import type { Circuit, Term } from '../circuit/types.ts'
import { encodedWords } from './constant-storage.ts'
import { Work } from './work.ts'

const WORD_BYTES = 4
const POLYNOMIALS = 2

type Body = Pick<Circuit, 'parameters' | 'constants' | 'ops' | 'result'>

/**
 * Bytes of the tables that hold the addresses of summands and weights of a program's weighted sums. A sum has
 * one table for each polynomial, and a second one for limbs modulo the special primes where some summands
 * have none. Sums of the same ciphertexts share tables and take less, which is not counted.
 */
export function tableBytes(circuit: Body): number {
  const { constants, ops, result, parameters } = circuit
  const work = new Work({ ops, result, specialPrimes: parameters.specialPrimes.length })
  const words = numbersOf(constants, (constant) => {
    const isWhole = encodedWords(periodOf(constant), parameters.ring) === parameters.ring
    // The addresses of value and weight; where a residue stands for a block, also log2 of the block's length.
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
