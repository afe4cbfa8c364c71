import type { SimdContext } from '../context.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import type { BaseConversion } from '../tables/base-conversion.ts'
import { limbs, limbsOf, type Value } from '../values/values.ts'
import { convert } from './convert.ts'

/** Division of a value by its topmost primes, rounded to the nearest integer. */
export interface Division {
  /** Unchanged; normal or extended. */
  readonly from: Value
  /** Normal, at the same or a lower level; its memory is not part of `from`'s. */
  readonly out: Value
}

/**
 * Divides extended values by the special primes (ModDown), and by the data primes that `out` lacks
 * (rescaling), in one division. With one prime the result is bit for bit that of SEAL 4.1
 * (`divide_and_round_q_last_ntt_inplace` and `switch_key_inplace`). Scales are divided by the product of the
 * dropped data primes.
 *
 * Takes up to three phases. For each polynomial it takes memory for one limb for each dropped prime, and one
 * more.
 */
export function emitDivisions(
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly Division[],
): void {
  const tasks = work.flatMap((division) => polynomialTasks(builder, context, division))
  builder.phase(tasks.flatMap((task) => task.sources))
  builder.phase(tasks.flatMap((task) => task.quotients))
  builder.phase(tasks.flatMap((task) => task.divisions))
  for (const { temporary } of tasks) builder.free(temporary)
}

interface PolynomialTask {
  readonly temporary: number
  readonly sources: Item[]
  readonly quotients: Item[]
  readonly divisions: Item[]
}

function polynomialTasks(
  builder: ProgramBuilder,
  context: SimdContext,
  { from, out }: Division,
): PolynomialTask[] {
  const { limbBytes } = context
  const all = limbsOf(context, from.primes, from.extended)
  const dropped = all.slice(out.primes)
  const conversion = context.conversion(dropped, true)
  return from.polynomials.map((source, p) => {
    // One limb for each dropped prime, as coefficients, and one for the quotients of the base conversion.
    const temporary = builder.allocate(limbBytes * (dropped.length + 1))
    return {
      temporary,
      sources: dropped.map((_, i) => (call) => {
        convert.source(
          call,
          context,
          conversion,
          i,
          source + limbBytes * (out.primes + i),
          temporary + limbBytes * i,
        )
      }),
      quotients: conversion.needsQuotients
        ? [(call) => convert.quotients(call, context, conversion, temporary)]
        : [],
      divisions: divisions(builder, context, conversion, {
        source,
        temporary,
        target: out.polynomials[p],
        out,
      }),
    }
  })
}

interface Places {
  readonly source: number
  readonly temporary: number
  readonly target: number
  readonly out: Value
}

function divisions(
  builder: ProgramBuilder,
  context: SimdContext,
  conversion: BaseConversion,
  { source, temporary, target, out }: Places,
): Item[] {
  const write = convert.targetWriter(builder, context, conversion, temporary)
  return limbs(context, out).map(({ place, modulus, index }) => (call, scratch) => {
    const at = place * context.limbBytes
    write(call, index, scratch)
    const { w, quotient } = conversion.inverse(index)
    call('subtractScale', {
      out: target + at,
      a: source + at,
      b: scratch,
      w,
      quotient,
      size: context.ring,
      q: modulus.q,
    })
  })
}
