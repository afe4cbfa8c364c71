import { PolyVeilError } from '../../../errors/index.ts'
import type { SimdContext } from '../context.ts'
import type { RaiseKeys } from '../keys/switching-key.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { polynomialBytes, type Value } from '../values/values.ts'
import { convert } from './convert.ts'
import { emitDivisions } from './divide.ts'
import { emitKeySwitches } from './key-switch.ts'

/** The raise of a value's modulus; its result stays extended. */
export interface Raise {
  /** Normal, two polynomials, at the raise level. */
  readonly source: Value
  readonly keys: RaiseKeys
  /** Extended, two polynomials, at the highest level. */
  readonly out: Value
}

/**
 * Raises values to the highest level. Each is switched to the ephemeral secret modulo the primes of its
 * level, with one special prime. Both polynomials, read as integers of least absolute value, are extended
 * exactly to all data primes. Then the value is switched back. Its coefficients get multiples of the modulus
 * of its level, as `circuit/raise.ts` says.
 *
 * Source: Bossuat, Troncoso-Pastoriza and Hubaux, "Bootstrapping for Approximate Homomorphic Encryption with
 * Negligible Failure-Probability by Using Sparse-Secret Encapsulation", ePrint 2022/024, section 3.
 *
 * Takes memory for the digits of all values at once.
 *
 * @param work at least one raise; sources are unchanged
 * @throws INTERNAL when the context has no raise level
 */
export function emitRaises(builder: ProgramBuilder, context: SimdContext, work: readonly Raise[]): void {
  const raised = work.map(({ out }) => temporary(builder, context, out.primes, false))
  emitDown(builder, context, work, raised)
  emitExtensions(
    builder,
    context,
    work[0].source.primes,
    raised.flatMap(({ polynomials }) => polynomials),
  )
  emitKeySwitches(
    builder,
    context,
    work.map(({ keys, out }, i) => {
      const [c0, c1] = raised[i].polynomials
      return { polynomial: c1, added: [c0], key: keys.up, out }
    }),
  )
  for (const value of raised) free(builder, value)
}

/**
 * Switches values to the ephemeral secret.
 *
 * @param to the residues modulo the primes of the raise level are written
 */
function emitDown(
  builder: ProgramBuilder,
  { ephemeral }: SimdContext,
  work: readonly Raise[],
  to: readonly Value[],
): void {
  if (ephemeral === undefined) throw new PolyVeilError('INTERNAL', 'The parameters have no raise level')
  const switched = work.map(({ source }) => temporary(builder, ephemeral, source.primes, true))
  emitKeySwitches(
    builder,
    ephemeral,
    work.map(({ source, keys }, i) => {
      const [c0, c1] = source.polynomials
      return { polynomial: c1, added: [c0], key: keys.down, out: switched[i] }
    }),
  )
  emitDivisions(
    builder,
    ephemeral,
    switched.map((from, i) => ({ from, out: { ...to[i], primes: from.primes } })),
  )
  for (const value of switched) free(builder, value)
}

/**
 * Extends polynomials from their first primes to all data primes, exactly.
 *
 * @param primes number of primes that polynomials have residues of
 * @param polynomials addresses of polynomials with memory for all data primes
 */
function emitExtensions(
  builder: ProgramBuilder,
  context: SimdContext,
  primes: number,
  polynomials: readonly number[],
): void {
  const { limbBytes, parameters } = context
  const own = Array.from({ length: primes }, (_, i) => i)
  const others = parameters.primes.map((_, i) => i).slice(primes)
  const conversion = context.conversion(own, true)
  const tasks = polynomials.map((polynomial) => {
    const residues = builder.allocate(limbBytes * (primes + 1))
    const write = convert.targetWriter(builder, context, conversion, residues)
    const at = (base: number, i: number): number => base + limbBytes * i
    return {
      residues,
      sources: own.map(
        (i): Item =>
          (call) =>
            convert.source(call, context, conversion, i, at(polynomial, i), at(residues, i)),
      ),
      quotients: (call: Parameters<Item>[0]) => convert.exactQuotients(call, context, conversion, residues),
      targets: others.map(
        (i): Item =>
          (call) =>
            write(call, i, at(polynomial, i)),
      ),
    }
  })
  builder.phase(tasks.flatMap(({ sources }) => sources))
  if (conversion.needsQuotients) builder.phase(tasks.map(({ quotients }) => quotients))
  builder.phase(tasks.flatMap(({ targets }) => targets))
  for (const { residues } of tasks) builder.free(residues)
}

/** Allocates two polynomials. */
function temporary(builder: ProgramBuilder, context: SimdContext, primes: number, extended: boolean): Value {
  const bytes = polynomialBytes(context, primes, extended)
  const polynomials = [builder.allocatePolynomial(bytes), builder.allocatePolynomial(bytes)]
  return { polynomials, primes, extended }
}

function free(builder: ProgramBuilder, { polynomials }: Value): void {
  for (const polynomial of polynomials) builder.free(polynomial)
}
