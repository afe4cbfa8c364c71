import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import type { Call, ProgramBuilder } from '../program/program.ts'
import type { BaseConversion } from '../tables/base-conversion.ts'
import { inverseArguments } from '../tables/modulus.ts'

// The steps of a base conversion as kernel calls. Its working memory, `temporary`, has one limb for each
// source, with the residues y_i, and then one limb for the quotients u.

/**
 * Products that `dot` may add up before it reduces. It is smaller than the target's own `chunk`, because
 * sources may be larger than the target's prime.
 */
export const CONVERSION_CHUNK = 8

/** A sum modulo one prime whose terms may have residues of larger primes. */
export interface BlockSum {
  /** Index of the modulus. */
  readonly index: number
  /** Words of the `dot` terms: address, address of the weight, log2 of the block's length. */
  readonly terms: readonly number[]
  /** Added to every coefficient; below the prime. */
  readonly bias: number
  /** Address of N words. */
  readonly out: number
}

const WORDS_PER_TERM = 3

/** Emits the sum of weighted terms and a bias. */
export function emitBlockSum(
  call: Call,
  builder: ProgramBuilder,
  { moduli, ring }: SimdContext,
  { index, terms, bias, out }: BlockSum,
): void {
  const { q, inverse } = moduli[index]
  call('dot', {
    out,
    blockTerms: builder.table(terms),
    blockCount: terms.length / WORDS_PER_TERM,
    vectorTerms: 0,
    vectorCount: 0,
    from: 0,
    length: ring,
    q,
    inverse,
    chunk: CONVERSION_CHUNK,
    bias,
  })
}

/** Computes y_i of source i from its residues in NTT form. */
function source(
  call: Call,
  context: SimdContext,
  conversion: BaseConversion,
  i: number,
  from: number,
  to: number,
): void {
  const modulus = context.moduli[conversion.sources[i]]
  const { bias, scale } = conversion.steps[i]
  call('copy', { out: to, a: from, size: context.ring })
  call('nttInverse', inverseArguments(modulus, context.ring, to))
  if (bias !== 0 || scale.w !== 1) {
    call('scale', { out: to, a: to, bias, ...scale, size: context.ring, q: modulus.q })
  }
}

/** Computes y_i of source i from coefficients. */
function coefficients(
  call: Call,
  context: SimdContext,
  conversion: BaseConversion,
  i: number,
  from: number,
  to: number,
): void {
  const { q } = context.moduli[conversion.sources[i]]
  const { bias, scale } = conversion.steps[i]
  call('scale', { out: to, a: from, bias, ...scale, size: context.ring, q })
}

/** Computes the quotients u exactly. */
function exactQuotients(
  call: Call,
  context: SimdContext,
  conversion: BaseConversion,
  temporary: number,
): void {
  const count = conversion.sources.length
  const out = temporary + count * context.limbBytes
  call('exactQuotients', {
    out,
    y: temporary,
    stride: context.limbBytes,
    count,
    table: conversion.exactTable,
    size: context.ring,
  })
}

/** Computes the quotients u in single precision. */
function quotients(call: Call, context: SimdContext, conversion: BaseConversion, temporary: number): void {
  const count = conversion.sources.length
  const out = temporary + count * context.limbBytes
  call('quotients', {
    out,
    y: temporary,
    stride: context.limbBytes,
    count,
    reciprocals: conversion.reciprocals,
    size: context.ring,
  })
}

/** The `dot` terms of a target: the y_i and u, with one weight each. */
function terms(
  context: SimdContext,
  conversion: BaseConversion,
  temporary: number,
  target: number,
): number[] {
  const shift = log2Exact(context.ring)
  const weights = conversion.weights(target)
  const words: number[] = []
  for (let i = 0; i < termCount(conversion); i++) {
    words.push(temporary + i * context.limbBytes, weights + 4 * i, shift)
  }
  return words
}

const termCount = ({ sources, needsQuotients }: BaseConversion): number =>
  sources.length + (needsQuotients ? 1 : 0)

/** The `reduce` kernel takes source primes at most this many times the target's prime. */
const REDUCE_RATIO = 5n

/** Whether there is one source, with residues that a few subtractions reduce modulo the target. */
const isReduction = ({ moduli }: SimdContext, { sources }: BaseConversion, index: number): boolean =>
  sources.length === 1 && moduli[sources[0]].prime <= REDUCE_RATIO * moduli[index].prime

/** Emits the calls that write the residues modulo target `index`, in NTT form, to `to`. */
type TargetWriter = (call: Call, index: number, to: number) => void

function targetWriter(
  builder: ProgramBuilder,
  context: SimdContext,
  conversion: BaseConversion,
  temporary: number,
): TargetWriter {
  const { moduli, ring } = context
  return (call, index, to) => {
    const { q, forward, quotients } = moduli[index]
    const bias = conversion.bias(index)
    if (isReduction(context, conversion, index)) {
      call('reduce', { out: to, a: temporary, bias, size: ring, q })
    } else {
      const sum = { index, terms: terms(context, conversion, temporary, index), bias, out: to }
      emitBlockSum(call, builder, context, sum)
    }
    call('nttForward', { values: to, table: forward, quotients, size: ring, q })
  }
}

export const convert = { source, coefficients, quotients, exactQuotients, terms, targetWriter }
