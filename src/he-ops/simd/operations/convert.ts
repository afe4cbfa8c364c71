import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import type { Call, ProgramBuilder } from '../program/program.ts'
import type { BaseConversion } from '../tables/base-conversion.ts'

// The steps of a base conversion as kernel calls. Where the sources are: residue y_i at `temporary` + i
// limbs, the quotients u behind them.

/**
 * Sources may be larger than the target's prime, so that fewer products than the prime's own `chunk` fit: see
 * `dot`.
 */
export const CONVERSION_CHUNK = 8

/** The y of source i, from its residues in NTT form. */
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
  call('copy', to, from, context.ring)
  call(
    'nttInverse',
    to,
    modulus.backward,
    modulus.quotients,
    context.ring,
    modulus.q,
    modulus.inverseSize.w,
    modulus.inverseSize.quotient,
    modulus.last.w,
    modulus.last.quotient,
  )
  if (bias !== 0 || scale.w !== 1)
    call('scale', to, to, bias, scale.w, scale.quotient, context.ring, modulus.q)
}

/** The y of source i, from coefficients. */
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
  call('scale', to, from, bias, scale.w, scale.quotient, context.ring, q)
}

/** The quotients u, exactly. */
function exactQuotients(
  call: Call,
  context: SimdContext,
  conversion: BaseConversion,
  temporary: number,
): void {
  const count = conversion.sources.length
  const out = temporary + count * context.limbBytes
  call('exactQuotients', out, temporary, context.limbBytes, count, conversion.exactTable, context.ring)
}

/** The quotients u, in single precision. */
function quotients(call: Call, context: SimdContext, conversion: BaseConversion, temporary: number): void {
  const count = conversion.sources.length
  const out = temporary + count * context.limbBytes
  call('quotients', out, temporary, context.limbBytes, count, conversion.reciprocals, context.ring)
}

/** The `dot` terms of a target: the y_i and u, each with its one weight. */
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

/** Primes at most so many times the target's are what the `lift` kernel takes. */
const LIFT_RATIO = 5n

/** Whether the residues of the one source are an integer that a few subtractions reduce. */
const isLift = ({ moduli }: SimdContext, { sources }: BaseConversion, index: number): boolean =>
  sources.length === 1 && moduli[sources[0]].prime <= LIFT_RATIO * moduli[index].prime

/** Writes the calls that make the residues modulo target `index`, in NTT form, at `to`. */
type TargetWriter = (call: Call, index: number, to: number) => void

function targetWriter(
  builder: ProgramBuilder,
  context: SimdContext,
  conversion: BaseConversion,
  temporary: number,
): TargetWriter {
  const { moduli, ring } = context
  const count = termCount(conversion)
  return (call, index, to) => {
    const { q, inverse, forward, quotients: distance } = moduli[index]
    const bias = conversion.bias(index)
    if (isLift(context, conversion, index)) {
      call('lift', to, temporary, bias, ring, q)
    } else {
      const table = builder.table(terms(context, conversion, temporary, index))
      call('dot', to, table, count, 0, 0, 0, ring, q, inverse, CONVERSION_CHUNK, bias)
    }
    call('nttForward', to, forward, distance, ring, q)
  }
}

export const convert = { source, coefficients, quotients, exactQuotients, terms, targetWriter }
